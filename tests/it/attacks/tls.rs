//! TLS from a client's side: who may connect, what the service knows of it, and new certificates without a restart.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bulla_test_support::client::Client;
use bulla_test_support::node::Node;
use bulla_test_support::server::Server;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::{BULLA, create, on_sqlite, until};

/// How long a change of files may take to be seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// An authority of a test's own.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a root").pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// PEM of a certificate of `localhost`, and of its key.
    fn issue(&self) -> (String, String) {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    /// Makes a certificate the server's.
    fn install(&self, folder: &Path) {
        let (certificate, key) = self.issue();
        std::fs::write(folder.join("tls.crt"), certificate).expect("writable");
        std::fs::write(folder.join("tls.key"), key).expect("writable");
    }

    /// What a client trusts that trusts this authority alone, and shows this certificate.
    fn client(
        &self,
        own: Option<(String, String)>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
        let builder = builder.with_root_certificates(roots);
        Arc::new(match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(vec![certificate], key).expect("they fit")
            }
        })
    }
}

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// The whole answer to some bytes, over TLS.
fn exchange(endpoint: &str, config: &Arc<ClientConfig>, request: &[u8]) -> std::io::Result<String> {
    let tcp = TcpStream::connect(endpoint)?;
    tcp.set_read_timeout(Some(Duration::from_secs(30)))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let session = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(session, tcp);
    stream.write_all(request)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A signed request after which the connection ends.
fn signed(client: &Client, action: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
    client.request(action, parameters).header("connection", "close").bytes()
}

/// A node under TLS with the files of its data folder, listening.
fn node(server: &Server, more: &str) -> Node {
    let data = server.data().display();
    let settings = format!(
        "lock_memory = \"never\"\n[server.tls]\ncertificate_file = \"{data}/tls.crt\"\nkey_file = \"{data}/tls.key\"\n{more}"
    );
    let node = Node::start_with(BULLA, server, "tls", &settings);
    node.endpoint();
    node
}

#[test]
fn serves_over_tls_and_takes_new_certificates_without_a_restart() {
    let (_folder, server) = on_sqlite();
    let authority = Authority::new();
    authority.install(server.data());
    let node = node(&server, "");
    let client = server.client();
    create(&client, "a", "value").ok();
    for versions in [BOTH, &BOTH[..1], &BOTH[1..]] {
        let config = authority.client(None, versions);
        let read = || exchange(&node.endpoint(), &config, &signed(&client, "GetSecretValue", &[("SecretName", "a")]));
        until(PATIENCE, "no answer over TLS", || read().is_ok_and(|answer| answer.contains("\"SecretData\":\"value\"")));
    }
    // Refusals of the HTTP parser come over TLS as well, whole.
    let config = authority.client(None, BOTH);
    let refused = exchange(&node.endpoint(), &config, b"rubbish\r\n\r\n").expect("an answer");
    assert!(refused.starts_with("HTTP/1.1 400") && refused.contains("\"RequestId\""), "{refused}");
    // A plain client is told so, and nothing else.
    let plain = node.client().request("ListSecrets", &[]).send().expect("an answer");
    assert!(plain.status == 400 && plain.json.get("SecretList").is_none(), "{plain:?}");

    // Another authority's; of the two files, one changes first.
    let next = Authority::new();
    let next_config = next.client(None, BOTH);
    let request = || signed(&client, "ListSecrets", &[]);
    assert!(exchange(&node.endpoint(), &next_config, &request()).is_err());
    let (certificate, key) = next.issue();
    std::fs::write(server.data().join("tls.crt"), certificate).expect("writable");
    until(PATIENCE, "it does not say that the files do not fit", || {
        exchange(&node.endpoint(), &config, &request()).expect("the certificate before is in use");
        node.log().contains("do not fit")
    });
    std::fs::write(server.data().join("tls.key"), key).expect("writable");
    until(PATIENCE, "the new certificate is not taken", || exchange(&node.endpoint(), &next_config, &request()).is_ok());
    assert!(exchange(&node.endpoint(), &config, &request()).is_err());

    // What nobody ever writes to stands for a file system that hangs: it keeps no client, no signal and not the end.
    let certificate = server.data().join("tls.crt");
    std::fs::remove_file(&certificate).expect("it was there");
    assert!(std::process::Command::new("mkfifo").arg(&certificate).status().expect("mkfifo").success());
    until(PATIENCE, "it does not say that this is no file", || {
        exchange(&node.endpoint(), &next_config, &request()).expect("the certificate before is in use");
        node.log().contains("is no regular file")
    });
    node.stop();
}

#[test]
fn clients_show_a_certificate_where_one_is_asked_for() {
    let (_folder, server) = on_sqlite();
    let (authority, clients) = (Authority::new(), Authority::new());
    authority.install(server.data());
    let ca = server.data().join("clients.pem");
    std::fs::write(&ca, &clients.pem).expect("writable");
    let client = server.client();
    let request = || signed(&client, "ListSecrets", &[]);
    let served =
        |node: &Node, config| exchange(&node.endpoint(), config, &request()).is_ok_and(|a| a.starts_with("HTTP/1.1 200"));

    let own = authority.client(Some(clients.issue()), BOTH);
    let none = authority.client(None, BOTH);
    let foreign = authority.client(Some(authority.issue()), BOTH);
    let required = node(&server, &format!("client_ca_file = \"{}\"", ca.display()));
    until(PATIENCE, "a client with a certificate is not served", || served(&required, &own));
    assert!(!served(&required, &none) && !served(&required, &foreign));
    required.stop();
    let optional = node(&server, &format!("client_ca_file = \"{}\"\nclient_certificate_required = false", ca.display()));
    until(PATIENCE, "a client with a certificate is not served", || served(&optional, &own));
    assert!(served(&optional, &none) && !served(&optional, &foreign));
}

#[test]
fn policies_know_whether_a_request_came_over_tls() {
    let (_folder, server) = on_sqlite();
    let authority = Authority::new();
    authority.install(server.data());
    let node = node(&server, "");
    let policy = server.data().join("policy.json");
    let document = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"kms:ListSecrets","Resource":"*",
        "Condition":{"Bool":{"acs:SecureTransport":"true"}}}]}"#;
    std::fs::write(&policy, document).expect("writable");
    server.admin(&["policy", "create", "over-tls", "--document", policy.to_str().expect("text")]);
    server.admin(&["user", "create", "careful"]);
    server.admin(&["policy", "attach", "over-tls", "--user", "careful"]);
    let key = server.admin(&["access-key", "create", "--user", "careful"]);
    let text = |name: &str| key[name].as_str().expect("shown once").to_owned();
    let careful = server.client_as(&text("AccessKeyId"), &text("AccessKeySecret"));
    assert_eq!(careful.call("ListSecrets", &[]).code(), "Forbidden.NoPermission");
    let config = authority.client(None, BOTH);
    until(PATIENCE, "not served over TLS", || {
        exchange(&node.endpoint(), &config, &signed(&careful, "ListSecrets", &[])).is_ok_and(|a| a.starts_with("HTTP/1.1 200"))
    });
}
