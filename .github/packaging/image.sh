#!/usr/bin/env bash
# Makes a container image of a static binary, without a base image: the binary, certificates, a folder for the stack.
#
#   .github/packaging/image.sh ARCHIVE NAME [ARCHITECTURE]
#
# ARCHIVE is one that pack.py made. The image is in buildah's storage under NAME afterwards. Inside is no Python: what
# needs one (the sandbox, and `builder: python` for requirements without hashes) is not possible there.
set -euo pipefail

archive="$1" name="$2" architecture="${3:-}"
certificates="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
folder="$(mktemp -d)"
container=""
trap '[ -z "$container" ] || buildah rm "$container" >/dev/null; rm -rf "$folder"' EXIT

tar -xzf "$archive" -C "$folder" --strip-components=1
version="$(basename "$archive" | sed -E 's/^provisioner-([^-]+).*/\1/')"
mkdir -p "$folder/stack"
chmod 1777 "$folder/stack"

container="$(buildah from ${architecture:+--arch "$architecture"} scratch)"
buildah copy --quiet --chmod 755 "$container" "$folder/provisioner" /usr/local/bin/provisioner >/dev/null
buildah copy --quiet --chmod 644 "$container" "$certificates" /etc/ssl/certs/ca-certificates.crt >/dev/null
buildah copy --quiet "$container" "$folder/LICENSE" /LICENSE >/dev/null
buildah copy --quiet --chown 65532:65532 "$container" "$folder/stack" /stack >/dev/null
buildah config \
    --entrypoint '["/usr/local/bin/provisioner"]' --cmd --help \
    --user 65532:65532 --workingdir /stack --env HOME=/stack \
    --label "org.opencontainers.image.title=provisioner" \
    --label "org.opencontainers.image.version=$version" \
    --label "org.opencontainers.image.licenses=Apache-2.0" \
    ${architecture:+--arch "$architecture"} "$container"
buildah commit --quiet "$container" "$name"
