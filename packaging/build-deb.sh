#!/usr/bin/env bash
# Builds the Debian package from a program that is built already.
#
#   packaging/build-deb.sh PROGRAM OUT.deb
#
# Needs dpkg-deb and dpkg-shlibdeps (dpkg-dev), strip (binutils). Man pages and completions are the program's own words.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=$(realpath "${1:?program}")
out=$(realpath -m "${2:?package to write}")
version=$(sed -n '0,/^version = /s/^version = "\(.*\)"$/\1/p' Cargo.toml)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
tree=$root/tree

install -D -m 0755 "$program" "$tree/usr/bin/bulla"
strip --strip-unneeded "$tree/usr/bin/bulla"
install -D -m 0644 packaging/systemd/bulla.service "$tree/lib/systemd/system/bulla.service"
install -D -m 0644 packaging/systemd/bulla-agent.service "$tree/lib/systemd/system/bulla-agent.service"
install -D -m 0640 packaging/debian/bulla.toml "$tree/etc/bulla/bulla.toml"
install -D -m 0644 packaging/debian/default "$tree/etc/default/bulla"

doc=$tree/usr/share/doc/bulla
install -D -m 0644 packaging/debian/copyright "$doc/copyright"
install -D -m 0644 packaging/debian/lintian-overrides "$tree/usr/share/lintian/overrides/bulla"
install -m 0644 docs/operations.md docs/security.md docs/formats.md docs/api.md docs/cli.md "$doc/"
install -D -m 0644 packaging/prometheus/bulla.rules.yml "$doc/examples/bulla.rules.yml"
install -D -m 0644 packaging/agent/agent.toml "$doc/examples/agent.toml"
install -D -m 0644 packaging/grafana/bulla.json "$doc/examples/grafana.json"
date=$(LC_ALL=C date -R -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}")
printf 'bulla (%s) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- Bulla maintainers <maintainers@bulla.invalid>  %s\n' \
  "$version" "$date" | gzip -9n >"$doc/changelog.gz"

"$program" man "$root/man" >/dev/null
for page in "$root"/man/*.1; do
  mkdir -p "$tree/usr/share/man/man1"
  gzip -9n <"$page" >"$tree/usr/share/man/man1/$(basename "$page").gz"
done
install -d "$tree/usr/share/bash-completion/completions" "$tree/usr/share/zsh/vendor-completions" \
  "$tree/usr/share/fish/vendor_completions.d"
"$program" completion bash >"$tree/usr/share/bash-completion/completions/bulla"
"$program" completion zsh >"$tree/usr/share/zsh/vendor-completions/_bulla"
"$program" completion fish >"$tree/usr/share/fish/vendor_completions.d/bulla.fish"
chmod -R u+rwX,go+rX,go-w "$tree"
chmod 0640 "$tree/etc/bulla/bulla.toml"

# What it links: from the packages that the libraries came from.
mkdir -p "$root/shlibs/debian"
printf 'Source: bulla\n\nPackage: bulla\nArchitecture: any\n' >"$root/shlibs/debian/control"
depends=$(cd "$root/shlibs" && dpkg-shlibdeps -O "$tree/usr/bin/bulla" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')

install -d "$tree/DEBIAN"
size=$(du -ks --exclude=DEBIAN "$tree" | cut -f1)
sed -e "s|@VERSION@|$version|" -e "s|@ARCH@|$(dpkg --print-architecture)|" -e "s|@SIZE@|$size|" -e "s|@DEPENDS@|$depends|" \
  packaging/debian/control.in >"$tree/DEBIAN/control"
printf '%s\n' /etc/bulla/bulla.toml /etc/default/bulla >"$tree/DEBIAN/conffiles"
install -m 0755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm "$tree/DEBIAN/"
(cd "$tree" && find usr lib -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
chmod 0644 "$tree/DEBIAN/control" "$tree/DEBIAN/conffiles" "$tree/DEBIAN/md5sums"

mkdir -p "$(dirname "$out")"
# Tests have no use for the best compression.
dpkg-deb ${BULLA_DEB_FAST:+-Zgzip -z1} --root-owner-group --build "$tree" "$out" >/dev/null
# Of the release build: what is to be downloaded everywhere stays small.
most=25000000
if [[ $program == */release/* && $(stat -c %s "$tree/usr/bin/bulla") -gt $most ]]; then
  printf 'deb: the program is larger than %d bytes\n' "$most" >&2
  exit 1
fi
printf 'deb: %s, program %d MiB\n' "$out" $(($(stat -c %s "$tree/usr/bin/bulla") >> 20))
