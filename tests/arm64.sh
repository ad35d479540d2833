#!/bin/sh
# Builds talc for ARM64 with Debian's cross compiler and runs the tests of kernels (NEON and portable C), models and training under
# qemu. Libraries for ARM64 are fetched by apt into build/arm64-root: nothing of this system is changed, and no root is needed.
set -eu
cd "$(dirname "$0")/.."
for tool in aarch64-linux-gnu-gcc qemu-aarch64 pkg-config apt-get dpkg-deb; do
    command -v $tool >/dev/null || { echo "test-arm64: $tool is missing: apt-get install gcc-aarch64-linux-gnu qemu-user pkg-config" >&2; exit 1; }
done

root=$PWD/build/arm64-root
if [ ! -d "$root" ]; then
    new=$root.new
    rm -rf "$new"
    mkdir -p "$new/apt/lists/partial" "$new/apt/archives/partial"
    : >"$new/apt/status"
    for step in 'update' 'install -y --no-install-recommends --download-only libc6-dev libjansson-dev libutf8proc-dev libzstd-dev libedit-dev
            libseccomp-dev libpcre2-dev libcmocka-dev'; do
        # shellcheck disable=SC2086
        apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$new/apt" -o Dir::State::status="$new/apt/status" \
            -o Dir::Cache="$new/apt" -o Debug::NoLocking=1 -o APT::Sandbox::User="$(id -un)" $step >"$new/log" 2>&1 ||
            { cat "$new/log" >&2; exit 1; }
    done
    for package in "$new"/apt/archives/*.deb; do dpkg-deb -x "$package" "$new"; done
    rm -rf "$new/apt"
    mv "$new" "$root"
fi

export BUILD=build/arm64 PKG_CONFIG_LIBDIR="$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
tests=$(for folder in base tensor model train; do printf '%s\n' tests/$folder/test_*.c; done | sed "s|^|$BUILD/|; s|\.c\$||")
# shellcheck disable=SC2086
make BUILD=$BUILD CC="aarch64-linux-gnu-gcc --sysroot=$root" $tests $BUILD/talc
# shellcheck disable=SC2086
RUNNER="qemu-aarch64 -L $root" tests/run.sh $tests
# shellcheck disable=SC2086
qemu-aarch64 -L "$root" $BUILD/talc info --cpu
