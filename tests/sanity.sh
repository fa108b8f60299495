#!/usr/bin/env bash
# ansible-test sanity, as Ansible's certification runs it, on the collection as it is built: the links of a checkout it
# does not take. Usage: tests/sanity.sh FOLDER [OPTION...]
#
# FOLDER keeps what ansible-test installs; nothing else on the machine changes.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
shift
root=$(cd "$(dirname "$0")/.." && pwd)
export HOME=$folder LC_ALL=C.UTF-8
unset ANSIBLE_CONFIG

# Not in the checkout: below a folder that git ignores, ansible-test sees no file.
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
collection=$tree/ansible_collections/pgconvoy/migrate
mkdir -p "$collection" "$folder/.ansible/test/cache"
(cd "$root" && ansible-galaxy collection build --output-path "$tree")
tar xzf "$tree"/pgconvoy-migrate-*.tar.gz -C "$collection"

# It would fetch pip from a place of its own; every Python here brings one along.
for version in 24_2 25_2; do # of ansible-core 2.19, and of 2.20 and 2.21
  printf 'import ensurepip\nensurepip.bootstrap()\n' >"$folder/.ansible/test/cache/get_pip_$version.py"
done

# The test "import" wants modules to be importable without the packages that they need, for a message that names them.
# The modules are, and give it (stage.py); the engine below them is not, and is tried with these packages.
python=$(python -c 'import sys; print("{}.{}".format(*sys.version_info))')
data=$(python -c 'import ansible_test; print(*ansible_test.__path__)')/_data/requirements
printf '%s\n' Jinja2 'psycopg[binary]' msgspec >"$data/sanity.import.module.txt"

cd "$collection"
ansible-test sanity --python "$python" --requirements --color no --lint "$@" >"$folder/found" 2>"$folder/log" || true
# What kept it from looking, or broke it off before it told anything.
if ! grep -q 'Running sanity test' "$folder/log" || grep -q 'All targets skipped' "$folder/log" ||
  grep 'FATAL:' "$folder/log" | grep -q -v 'sanity test(s) listed below'; then
  cat "$folder/log"
  exit 1
fi
grep -v '^#' "$root/tests/sanity.txt" | grep . >"$folder/expected"
if grep -v -E -f "$folder/expected" "$folder/found"; then
  exit 1
fi
echo "ansible-test sanity: nothing but what tests/sanity.txt expects"
