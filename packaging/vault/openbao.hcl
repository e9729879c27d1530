# An OpenBao server (Vault alike) whose root key is encrypted under a key of Bulla's token; it unseals itself at each start. VAULT_TOKEN, or
# `token` in the stanza, from: bulla token create --user openbao --ttl 366d, with kms:Encrypt and kms:Decrypt on the key.
seal "transit" {
  address         = "https://bulla:8443"
  tls_ca_cert     = "/etc/bulla/ca.crt"
  key_name        = "openbao" # alias/openbao
  mount_path      = "transit/"
  disable_renewal = "true" # such a token ends when it was said to
}
