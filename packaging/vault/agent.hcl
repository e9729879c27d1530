# `bao agent -config agent.hcl` or `vault agent …`: logs in with an access key and keeps a file that follows the secret.
pid_file = "/run/bulla-agent/pid"

vault {
  address = "https://bulla:8443"
  ca_cert = "/etc/bulla/ca.crt"
}

auto_auth {
  method {
    type = "approle"
    config = {
      role_id_file_path                   = "/etc/app/access-key-id"
      secret_id_file_path                 = "/etc/app/access-key-secret"
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  static_secret_render_interval = "30s" # how soon a new version is in the file
  exit_on_retry_failure         = true
}

template {
  contents    = "{{ with secret \"secret/data/app/db\" }}password={{ .Data.data.password }}\n{{ end }}"
  destination = "/run/app/db.env"
  perms       = "0600"
}
