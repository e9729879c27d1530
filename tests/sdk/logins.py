"""Users that log in at the second door with the proofs of others, and a node under TLS that knows them."""

import contextlib
import json
import uuid

from issuer import Issuer

NAMESPACE = {"kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "app"}}}


class Logins:
    """A node with logins: users, issuers, and what the configuration says of them."""

    def __init__(self, admin, account, authority, folder):
        self.admin, self.authority, self.folder = admin, authority, folder
        self.cluster, self.pipeline = Issuer("https://kubernetes.default.svc"), Issuer("https://gitlab.example")
        self.user = f"login-{uuid.uuid4()}"
        admin("user", "create", self.user)
        self.may("kms:GetSecretValue", "secret/logins/*", "secret/app", "secret/app/*")
        self.may("kms:*", "secret/app/pushed*")
        self.may("kms:*Secret*", "secret")  # to list, and to create
        (folder / "gitlab.pem").write_text(self.pipeline.pem())
        self.account = account
        self.certificate = authority.client(folder, "web", dns=["web.example"], uris=["spiffe://bank/web"])
        self.roots = f'client_ca_file = "{authority.file}"\nclient_certificate_required = false'

    def may(self, action, *resources):
        policy, file = f"login-{uuid.uuid4()}", self.folder / "policy.json"
        statement = {"Effect": "Allow", "Action": action, "Resource": [f"acs:kms:*:*:{resource}" for resource in resources]}
        file.write_text(json.dumps({"Version": "1", "Statement": [statement]}))
        self.admin("policy", "create", policy, "--document", str(file))
        self.admin("policy", "attach", policy, "--user", self.user)

    def sections(self, url, roles=("app",)):
        of = f'account = "{self.account}"\nuser = "{self.user}"'
        bound = 'bound_claims = { sub = "system:serviceaccount:prod:app", "/kubernetes.io/namespace" = ["prod", "test"] }'
        cluster = "".join(f'[[vault.jwt.role]]\nname = "{role}"\n{of}\n{bound}\n' for role in roles)
        return f"""
[[vault.jwt]]
mount = "kubernetes"
issuer = "{self.cluster.name}"
audience = ["bulla"]
jwks_url = "{url}"
jwks_ca_file = "{self.authority.file}"
{cluster}
[[vault.jwt]]
issuer = "{self.pipeline.name}"
audience = ["bulla", "https://bulla"]
public_keys_file = "{self.folder}/gitlab.pem"
algorithms = ["ES256"]
[[vault.jwt.role]]
name = "deploy"
{of}
bound_claims = {{ project_path = "bank/app", ref_protected = "true" }}

[[vault.certificate]]
name = "web"
{of}
dns_names = ["web.example"]
uris = ["spiffe://bank/web", "spiffe://bank/web2"]
"""

    def service_account(self, **claims):
        """A token of the cluster's service account prod/app."""
        return self.cluster.token(**{"sub": "system:serviceaccount:prod:app", **NAMESPACE, **claims})

    @contextlib.contextmanager
    def served(self, new_node):
        """Starts the node, and the issuer whose keys it asks for."""
        with self.cluster.served(*self.authority.issue(self.folder)) as self.url:
            self.node = new_node(tls=self.roots, more=self.sections(self.url))
            self.address = f"https://{self.node.start()}"
            try:
                yield self
            finally:
                self.node.stop()
