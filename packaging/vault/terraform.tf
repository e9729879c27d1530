# Terraform or OpenTofu with the Vault provider. TF_VAR_access_key_id and TF_VAR_access_key_secret: an access key.
variable "access_key_id" {}
variable "access_key_secret" { sensitive = true }

provider "vault" {
  address      = "https://bulla:8443"
  ca_cert_file = "/etc/bulla/ca.crt"
  auth_login {
    path       = "auth/approle/login"
    parameters = { role_id = var.access_key_id, secret_id = var.access_key_secret }
  }
}

data "vault_kv_secret_v2" "db" {
  mount = "secret"
  name  = "app/db"
}

output "password" {
  value     = data.vault_kv_secret_v2.db.data["password"]
  sensitive = true
}
