#!/bin/sh
# Gets the libraries that talc is built with. Silent when all are there. As root, or with CI=true, it installs with apt;
# otherwise it shows the one command and asks; elsewhere it lists what to install.
set -eu
packages="gcc make pkg-config libjansson-dev libutf8proc-dev libzstd-dev libedit-dev libseccomp-dev libpcre2-dev libcmocka-dev python3"

have_all() {
    command -v gcc >/dev/null && command -v pkg-config >/dev/null &&
        pkg-config --exists jansson libutf8proc libzstd libedit libseccomp libpcre2-8 cmocka
}

have_all && exit 0
if ! command -v apt-get >/dev/null; then
    echo "talc needs these libraries with their headers: jansson utf8proc zstd libedit libseccomp pcre2 cmocka, and gcc, make, pkg-config" >&2
    echo "  Fedora:   dnf install gcc make pkgconf jansson-devel utf8proc-devel libzstd-devel libedit-devel libseccomp-devel pcre2-devel libcmocka-devel" >&2
    echo "  Homebrew: brew install pkg-config jansson utf8proc zstd pcre2 cmocka" >&2
    pkg-config --exists jansson 2>/dev/null && exit 0 # only jansson is required
    exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
command="${sudo:+$sudo }apt-get install -y --no-install-recommends $packages"
if [ "$(id -u)" != 0 ] && [ "${CI:-}" != true ]; then
    echo "talc needs some libraries. This installs them:" >&2
    echo "  $command" >&2
    if ! [ -t 0 ]; then
        pkg-config --exists jansson 2>/dev/null && exit 0
        exit 1
    fi
    printf 'Run it now? [y/N] ' >&2
    read -r answer
    case $answer in y | Y | yes) ;; *) exit 1 ;; esac
fi
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $packages >/dev/null
have_all
