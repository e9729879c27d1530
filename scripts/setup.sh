#!/usr/bin/env bash
# Installs what Bulla needs on this machine and does not find, on Debian and Ubuntu; elsewhere says what is missing.
#
#   scripts/setup.sh run     what building and running need
#   scripts/setup.sh test    that, and what the tests need
#   scripts/setup.sh tokens  installs nothing; succeeds where every token that the tests know can be had
#
# Every need is probed by use (a program links, a file is there), not by package name, so what came by another way counts.
# Nothing is done when nothing is missing. As root, or as a user with sudo. What only some tests want (wants_test) and cannot be had is no
# failure: those tests are skipped, and say why.
set -euo pipefail

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

list() { local text; printf -v text '%s; ' "$@"; printf '%s' "${text%; }"; }

# --- probes: true when there ---------------------------------------------------------------------------------------------

any() { local f; for f in "$@"; do [[ -e $f ]] && return; done; return 1; }
links() { printf 'int main(void){return 0;}\n' | cc -x c - "$@" -o /dev/null 2>/dev/null; }
has_compiler() { command -v cc >/dev/null && links; }
has_libpq() { command -v pg_config >/dev/null && links -lpq; }
has_softhsm() {
  command -v softhsm2-util >/dev/null && any /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so
}
has_postgresql() { command -v initdb >/dev/null || any /usr/lib/postgresql/*/bin/initdb; }
has_mariadb() { command -v mariadb-install-db >/dev/null && any /usr/sbin/mariadbd; }
has_faketime() { any /usr/lib/*/faketime/libfaketime.so.1; }
has_venv() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
has_headers() { any "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)/Python.h"; }
has_node() { command -v node >/dev/null; }
has_nss() { any /usr/lib/*/libsoftokn3.so /usr/lib64/libsoftokn3.so; }
has_pkcs11_tool() { command -v pkcs11-tool >/dev/null; }
has_certutil() { command -v certutil >/dev/null; }
has_p11_kit() { command -v p11-kit >/dev/null && any /usr/lib/*/p11-kit-proxy.so && any /usr/lib/*/pkcs11/p11-kit-client.so; }
has_opencryptoki() { any /usr/sbin/pkcsslotd; }
has_tpm2() { command -v tpm2_ptool >/dev/null && any /usr/lib/*/pkcs11/libtpm2_pkcs11.so && command -v tpm2_flushcontext >/dev/null; }
has_swtpm() { command -v swtpm >/dev/null && any /usr/lib/*/libtss2-tcti-swtpm.so.0; }
# clang-sys looks for these names; libclang-cpp.so, which comes with other packages of LLVM, is another library.
has_libclang() { any /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so*; }
has_openssl_headers() { any /usr/include/openssl/evp.h && any /usr/include/sqlite3.h && command -v pkg-config >/dev/null; }
has_npm() { command -v npm >/dev/null; }
has_ip() { command -v ip >/dev/null || any /usr/sbin/ip /sbin/ip; }
has_pgbouncer() { any /usr/sbin/pgbouncer /usr/bin/pgbouncer; }
has_lintian() { command -v lintian >/dev/null && command -v dpkg-shlibdeps >/dev/null; }
has_promtool() { command -v promtool >/dev/null; }
has_buildah() { command -v buildah >/dev/null; }
has_openssl() { command -v openssl >/dev/null && command -v curl >/dev/null; }
has_shells() { command -v zsh >/dev/null && command -v fish >/dev/null; }
has_bats() { command -v bats >/dev/null; }
has_nspawn() { command -v systemd-nspawn >/dev/null; }
has_vim() { command -v vi >/dev/null; }
has_strace() { command -v strace >/dev/null; }

# --- what is needed ------------------------------------------------------------------------------------------------------

# One need a line: probe | what it is, for people | Debian packages
needs_run='
has_compiler   | a C compiler and the C library headers   | build-essential
has_libpq      | libpq with its headers                   | libpq-dev
has_softhsm    | SoftHSM2, the PKCS#11 token in software  | softhsm2
'
needs_test='
has_postgresql | the PostgreSQL server programs           | postgresql
has_mariadb    | the MariaDB server programs              | mariadb-server-core mariadb-client-core
has_faketime   | libfaketime, for a clock that is ahead   | libfaketime
has_venv       | Python 3 with venv                       | python3 python3-venv
has_headers    | the headers of Python, for old SDKs       | python3-dev
has_node       | Node.js                                  | nodejs
has_npm        | npm                                      | npm
has_nss        | NSS softoken, a second PKCS#11 token     | libnss3
has_strace     | strace, which makes system calls fail    | strace
has_ip         | ip, for hosts that lose their power      | iproute2
has_pgbouncer  | PgBouncer, a pooler of connections       | pgbouncer
has_pkcs11_tool | pkcs11-tool, which initialises tokens   | opensc
has_certutil   | certutil, which makes NSS databases      | libnss3-tools
has_openssl    | openssl and curl, for certificates       | openssl curl
'
# What a test is skipped without, with the reason.
wants_test='
has_p11_kit    | p11-kit: a proxy and a remote token      | p11-kit p11-kit-modules
has_opencryptoki | openCryptoki and its soft token        | opencryptoki
has_tpm2       | tpm2-pkcs11, a token on a TPM            | libtpm2-pkcs11-1 libtpm2-pkcs11-tools tpm2-tools
has_swtpm      | a TPM in software                        | swtpm swtpm-tools libtss2-tcti-swtpm0
has_libclang   | libclang, for building kryoptic          | libclang-dev
has_openssl_headers | headers of OpenSSL and SQLite, for kryoptic | libssl-dev libsqlite3-dev pkg-config
has_lintian    | lintian, which judges the Debian package | lintian dpkg-dev
has_nspawn     | systemd-nspawn: systemd that runs the units | systemd-container
has_promtool   | promtool, which judges the alert rules   | prometheus
has_buildah    | buildah, which builds the OCI image       | buildah
has_shells     | zsh and fish, which load the completion   | zsh fish
has_bats       | bats, which runs scripts with secrets     | bats
has_vim        | Vim, which edits a secret                 | vim-tiny
'

# Sets `names` and `packages` to what is missing of the needs given.
look() {
  names=() packages=()
  local probe what wanted
  while IFS='|' read -r probe what wanted; do
    probe=${probe// /}
    [[ -z $probe ]] && continue
    "$probe" && continue
    read -r what <<<"$what"
    names+=("$what")
    read -ra wanted <<<"$wanted"
    packages+=("${wanted[@]}")
  done <<<"$1"
}

# --- Debian and Ubuntu ---------------------------------------------------------------------------------------------------

as_root() {
  if [[ $(id -u) == 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    die "not root and no sudo. As root: apt-get install ${packages[*]}"
  fi
}

apt_get() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
    -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

apt_update() {
  local try
  for try in 1 2 3; do
    apt_get update && return
    say "apt-get update failed (try $try of 3)"
    sleep $((try * 3))
  done
  die "apt-get update failed three times; is the network there?"
}

# Debian's postgresql package makes a cluster and starts it. The tests make their own; so, where the package was not there
# before, it is told not to.
without_main_cluster() {
  local conf=/etc/postgresql-common/createcluster.conf
  [[ -e $conf ]] && return
  apt_get install --no-install-recommends postgresql-common || die "apt-get install postgresql-common failed"
  as_root sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' "$conf"
}

# Installs what `look` found; what cannot be had is left out, and said.
install_wanted() {
  if command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || command -v sudo >/dev/null; }; then
    say "installing for more tests: ${packages[*]}"
    apt_get update || true
    # Together, or as many as there are.
    if ! apt_get install --no-install-recommends "${packages[@]}"; then
      local package
      for package in "${packages[@]}"; do
        apt_get install --no-install-recommends "$package" || say "$package cannot be installed here"
      done
    fi
  fi
  look "$wants_test"
  if ((${#names[@]})); then say "not here, so tests are skipped: $(list "${names[@]}")"; fi
}

install_missing() {
  say "missing: $(list "${names[@]}")"
  command -v apt-get >/dev/null ||
    die "not a Debian or Ubuntu: install the above with this system's own tools (on Debian it is: ${packages[*]})"
  say "installing: ${packages[*]}"
  apt_update
  if [[ " ${packages[*]} " == *' postgresql '* ]]; then without_main_cluster; fi
  apt_get install --no-install-recommends "${packages[@]}" || die "apt-get install ${packages[*]} failed; its reason is above"
}

# --- main ----------------------------------------------------------------------------------------------------------------

case ${1-} in
  run) needs=$needs_run ;;
  test) needs=$needs_run$needs_test ;;
  tokens)
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    [[ $(id -u) == 0 ]] && has_softhsm && has_nss && has_pkcs11_tool && has_certutil && has_p11_kit && has_opencryptoki && has_tpm2 &&
      has_swtpm && any target/kryoptic/release/libkryoptic_pkcs11.so
    exit
    ;;
  *) die "usage: scripts/setup.sh run|test|tokens" ;;
esac

command -v cargo >/dev/null || die "cargo not found: Bulla needs Rust (see rust-version in Cargo.toml), best from https://rustup.rs"

# kryoptic, a token from crates.io, stays in target/kryoptic: a minute or two, once.
build_kryoptic() {
  local module=target/kryoptic/release/libkryoptic_pkcs11.so
  [[ -e $module && $module -nt softhsm/kryoptic/Cargo.lock ]] && return
  say "building kryoptic, a PKCS#11 token, for the tests"
  cargo build --quiet --release --locked -p kryoptic --manifest-path softhsm/kryoptic/Cargo.toml --target-dir target/kryoptic ||
    say "kryoptic does not build here; its tests are skipped"
}

look "$needs"
if ((${#packages[@]})); then
  install_missing
  look "$needs"
  if ((${#packages[@]})); then die "installed, but still not usable: $(list "${names[@]}")"; fi
  say "done"
else
  say "everything is there"
fi

if [[ $1 == test ]]; then
  look "$wants_test"
  if ((${#packages[@]})); then install_wanted; fi
  cd "$(dirname "${BASH_SOURCE[0]}")/.."
  build_kryoptic
fi
