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

rm -rf "$folder/ansible_collections"
collection=$folder/ansible_collections/pgconvoy/migrate
mkdir -p "$collection" "$folder/.ansible/test/cache"
(cd "$root" && ansible-galaxy collection build --force --output-path "$folder")
tar xzf "$folder"/pgconvoy-migrate-*.tar.gz -C "$collection"

# It would fetch pip from a place of its own; every Python here brings one along.
printf 'import ensurepip\nensurepip.bootstrap()\n' >"$folder/.ansible/test/cache/get_pip_25_2.py"

# The test "import" wants modules to be importable without the packages that they need, for a message that names them.
# The modules are, and give it (stage.py); the engine below them is not, and is tried with these packages.
python=$(python -c 'import sys; print("{}.{}".format(*sys.version_info))')
data=$(python -c 'import ansible_test; print(*ansible_test.__path__)')/_data/requirements
printf '%s\n' Jinja2 'psycopg[binary]' msgspec >"$data/sanity.import.module.txt"

cd "$collection"
status=0
ansible-test sanity --python "$python" --requirements --lint "$@" >"$folder/found" || status=$?
grep -v '^#' "$root/tests/sanity.txt" | grep . >"$folder/expected"
if grep -v -E -f "$folder/expected" "$folder/found"; then
  exit 1
fi
# Issues end ansible-test with 1, and anything that broke it off, too: then it has not told any.
[ "$status" = 0 ] || [ -s "$folder/found" ]
echo "ansible-test sanity: nothing but what tests/sanity.txt expects"
