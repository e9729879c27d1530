#!/usr/bin/env bash
# Builds an OCI image from nothing but this machine's files: the program, the libraries that it loads, certificates, a user.
# Nothing is pulled and nothing runs inside while it is built.
#
#   packaging/oci/build.sh PROGRAM OUT.tar
#
# The PKCS#11 module of the HSM's maker is mounted, or copied in by a layer of your own; the libraries of C and C++ are there for it.
# Needs buildah.
set -euo pipefail

program=$(realpath "${1:?program}")
out=$(realpath -m "${2:?archive to write}")
work=$(mktemp -d)
container=
buildah() { command buildah --storage-driver vfs --root "$work/storage" --runroot "$work/run" "$@"; }
cleanup() {
  [[ -n $container ]] && buildah rm "$container" >/dev/null 2>&1
  rm -rf "$work"
}
trap cleanup EXIT

root=$work/root
install -D -m 0755 "$program" "$root/usr/bin/bulla"
strip --strip-unneeded "$root/usr/bin/bulla"
# The loader and every library, under the names that the program asks for.
ldd "$program" | awk '/=> \//{print $3} /^[[:space:]]*\//{print $1}' | sort -u | while read -r library; do
  install -D -m 0755 "$(realpath "$library")" "$root$library"
done
# Loaded by name at run time: users and hosts by the C library; what modules of PKCS#11 lean on besides, SoftHSM's among them.
modules=(libstdc++.so.6 libgcc_s.so.1 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1)
for name in libnss_files.so.2 libnss_dns.so.2 "${modules[@]}"; do
  # To its end: one that ends before ldconfig has said all ends ldconfig, and with it this build.
  library=$(ldconfig -p | awk -v n="$name" '$1 == n && !found {found = $NF} END {print found}')
  [[ -n $library ]] && install -D -m 0755 "$(realpath "$library")" "$root$library"
done
install -D -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt" 2>/dev/null || true
install -d "$root/etc" "$root/tmp" "$root/var/lib/bulla/audit" "$root/etc/bulla"
printf 'root:x:0:0::/:/nonexistent\nbulla:x:10001:10001:Bulla:/var/lib/bulla:/nonexistent\n' >"$root/etc/passwd"
printf 'root:x:0:\nbulla:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
chmod 1777 "$root/tmp"
chmod 0700 "$root/var/lib/bulla" "$root/var/lib/bulla/audit"

# As an archive, which keeps owners: `buildah copy` gives everything to root.
state=(./var/lib/bulla ./var/lib/bulla/audit)
tar -C "$root" --numeric-owner --owner=0 --group=0 --exclude="${state[0]}" -cf "$work/root.tar" .
tar -C "$root" --numeric-owner --owner=10001 --group=10001 --no-recursion -rf "$work/root.tar" "${state[@]}"

container=$(buildah from scratch)
buildah add --quiet "$container" "$work/root.tar" / >/dev/null
buildah config --user 10001:10001 --workingdir /var/lib/bulla --entrypoint '["/usr/bin/bulla"]' --cmd serve \
  --env BULLA_CONFIG=/etc/bulla/bulla.toml --port 8080 --port 9090 --volume /var/lib/bulla \
  --label org.opencontainers.image.title=bulla --label org.opencontainers.image.licenses=Apache-2.0 "$container"
image=$(buildah commit --quiet --timestamp "${SOURCE_DATE_EPOCH:-0}" "$container")
mkdir -p "$(dirname "$out")"
rm -f "$out"
buildah push --quiet "$image" "oci-archive:$out:bulla"
printf 'oci: %s, %d MiB\n' "$out" $(($(stat -c %s "$out") >> 20))
