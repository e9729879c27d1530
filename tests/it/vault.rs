//! The second door from a test's side: requests with a token.

use std::io;

use bulla_test_support::client::{Answer, Client};
use serde_json::{Value, json};

/// Who shows a token to a server.
pub struct Bearer<'a> {
    client: &'a Client,
    pub token: String,
}

/// One request: the answer, or that there was none.
pub fn send(client: &Client, token: &str, method: &str, path: &str, body: &Value, headers: &str) -> io::Result<Answer> {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    send_text(client, token, method, path, &body, headers)
}

/// The same with any text as body.
pub fn send_text(client: &Client, token: &str, method: &str, path: &str, body: &str, headers: &str) -> io::Result<Answer> {
    let (endpoint, length) = (&client.endpoint, body.len());
    let shown = if token.is_empty() { String::new() } else { format!("X-Vault-Token: {token}\r\n") };
    let head = format!("{method} /v1/{path} HTTP/1.1\r\nHost: {endpoint}\r\n{shown}{headers}Content-Length: {length}\r\n\r\n");
    client.send_bytes(format!("{head}{body}").as_bytes())
}

impl<'a> Bearer<'a> {
    /// Logs the client's access key in.
    pub fn login(client: &'a Client) -> Self {
        let body = json!({ "role_id": client.access_key_id, "secret_id": client.access_key_secret });
        let answer = send(client, "", "POST", "auth/approle/login", &body, "").expect("an answer").ok();
        let token = answer.json["auth"]["client_token"].as_str().expect("a token").to_owned();
        Self { client, token }
    }

    /// Who shows this token to this client's server.
    pub fn with(client: &'a Client, token: &str) -> Self {
        Self { client, token: token.to_owned() }
    }

    /// One request. On a machine with too much to do a server may turn it away; it comes again, as the answer says.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        for _ in 0..20 {
            let answer = self.send(method, path, body).expect("an answer");
            if answer.status != 503 {
                return answer;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        panic!("{method} {path} is turned away again and again");
    }

    /// One request, or that the server has gone.
    pub fn send(&self, method: &str, path: &str, body: &Value) -> io::Result<Answer> {
        let headers = if method == "PATCH" { "Content-Type: application/merge-patch+json\r\n" } else { "" };
        send(self.client, &self.token, method, path, body, headers)
    }
}
