#!/bin/sh
# A bare Debian, a clone, `make demo` and `make test`: all that a newcomer types. Needs root and debootstrap. DEMO_MINUTES passes
# through; NEWCOMER_CACHE keeps the bare system between runs.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "newcomer: needs root, for a chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "newcomer: install debootstrap" >&2; exit 1; }
cache=${NEWCOMER_CACHE:-/var/cache/talc-newcomer}
mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p; s/^URIs: \([^ ]*\).*/\1/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -1)
[ -d "$cache/bookworm" ] || { mkdir -p "$cache"; debootstrap --variant=minbase bookworm "$cache/bookworm.new" "$mirror" >/dev/null && mv "$cache/bookworm.new" "$cache/bookworm"; }
root=$(mktemp -d)
# Lazily where something in it still runs: nothing of /dev may be there to be removed.
clean() { umount -R "$root" 2>/dev/null || umount -R -l "$root" 2>/dev/null || true; rm -rf --one-file-system "$root"; }
trap clean EXIT
cp -a "$cache/bookworm/." "$root/"
mount --bind "$root" "$root" # a root of its own: the sandbox for code can then change it
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts" # terminals
cp /etc/resolv.conf "$root/etc/" 2>/dev/null || true
cp -r /etc/apt/. "$root/etc/apt/"
[ ! -d /usr/local/share/ca-certificates ] || cp -r /usr/local/share/ca-certificates "$root/usr/local/share/"
[ ! -d /etc/ssl/certs ] || { mkdir -p "$root/etc/ssl" && cp -rL /etc/ssl/certs "$root/etc/ssl/"; }
chroot "$root" sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends git make ca-certificates >/dev/null'
git clone -q . "$root/talc"
for target in demo test; do
    echo "== make $target"
    start=$(date +%s)
    chroot "$root" env CI=true DEMO_MINUTES="${DEMO_MINUTES:-10}" sh -c "cd /talc && make $target" </dev/null
    echo "== make $target: $(($(date +%s) - start)) s"
done
