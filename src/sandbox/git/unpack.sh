#!/bin/sh
# Runs inside a fresh sandbox, before the agent goes on: puts into the working tree what pack.sh has taken out of another one.
#
# Takes   BUNDLE (as pack.sh has left it), MESSAGE (as pack.sh was given it: a last commit that says so holds what was not
#         committed yet), and WORKSPACE, if not as usual. The tree is at the commit that the bundle builds on.
# Says    one word on standard output; when it is not "unpacked", the exit code is not 0 either: no-workspace 10,
#         no-bundle 11 (nothing in the tree was touched), no-files 12.
set -u
umask 022
WORKSPACE=${WORKSPACE:-/workspace}

stop() { echo "$1"; [ -z "${3:-}" ] || echo "unpack: $3" >&2; exit "$2"; }

cd "$WORKSPACE" 2>/dev/null && [ -d .git ] || stop no-workspace 10 "there is no repository in $WORKSPACE"
for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 GIT_NO_REPLACE_OBJECTS=1
git() {
    command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.autocrlf=false -c gc.auto=0 -c maintenance.auto=false \
        -c submodule.recurse=false -c safe.directory='*' "$@"
}

head=$(git bundle list-heads "$BUNDLE" refs/cloud-agent/out 2>/dev/null | cut -d' ' -f1)
[ -n "$head" ] || stop no-bundle 11 "it has no head"
git bundle unbundle "$BUNDLE" >/dev/null || stop no-bundle 11 "its objects can't be taken"
git cat-file -e "$head^{tree}" || stop no-bundle 11 "its head is no commit"
git reset --quiet --hard "$head" >&2 || stop no-files 12 "the files can't be written"
# What was not committed is not committed again.
if [ "$(git show --no-patch --format=%s "$head")" = "${MESSAGE:-}" ]; then
    git reset --quiet "$head^" >&2 || stop no-files 12 "the last commit can't be taken back"
fi
rm -f "$BUNDLE"
stop unpacked 0
