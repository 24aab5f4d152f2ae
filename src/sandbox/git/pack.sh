#!/bin/sh
# Runs inside a sandbox, after the agent ended: makes one commit of what is not committed yet and one bundle of all work.
#
# Takes   BASE (the commit that the agent began with), MESSAGE (for the commit); WORKSPACE and OUT, if not as usual.
# Leaves  $OUT/work.bundle and $OUT/head, or $OUT/unchanged.
# Says    one word on standard output; when it is not "packed" or "unchanged", the exit code is not 0 either:
#         no-workspace 10, no-repository 11, no-base 12, no-index 13, no-commit 14, no-bundle 15.
#
# The agent may have done anything to .git. So nothing of its configuration is used: a second repository is put beside it,
# which takes HEAD and the branches as files and shares its objects. Hooks, filters, fsmonitor, worktree settings, signing,
# a left index.lock or a merge half done mean nothing there. The host trusts none of this; it is for work not to get lost.
set -u
umask 077
WORKSPACE=${WORKSPACE:-/workspace}
OUT=${OUT:-/out}

stop() { echo "$1"; [ -z "${3:-}" ] || echo "pack: $3" >&2; exit "$2"; }

cd "$WORKSPACE" 2>/dev/null || stop no-workspace 10 "there is no $WORKSPACE"
agent=$PWD/.git
[ -d "$agent" ] && [ ! -L "$agent" ] && [ -d "$agent/objects" ] || stop no-repository 11 "the agent removed or replaced .git"

mkdir -p "$OUT" || stop no-bundle 15 "can't write to $OUT"
rm -rf "$OUT/work.bundle" "$OUT/head" "$OUT/unchanged" "$OUT/.pack"
own=$OUT/.pack
mkdir -p "$own/refs" "$own/info" || stop no-bundle 15 "can't write to $OUT"
trap 'rm -rf "$own"' EXIT

for name in $(env | sed -n 's/^\(GIT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
export LC_ALL=C GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_ATTR_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_NO_REPLACE_OBJECTS=1 GIT_DIR="$own" GIT_WORK_TREE="$PWD" GIT_OBJECT_DIRECTORY="$agent/objects" GIT_INDEX_FILE="$own/index"
export GIT_AUTHOR_NAME=agent GIT_AUTHOR_EMAIL=agent@localhost GIT_COMMITTER_NAME=agent GIT_COMMITTER_EMAIL=agent@localhost

# As in the working tree that the agent was given: content is what is in the files.
printf '* !filter !working-tree-encoding\n' >"$own/info/attributes"
printf '[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n' >"$own/config"
git() {
    command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.excludesFile=/dev/null -c core.attributesFile=/dev/null \
        -c core.checkStat=minimal -c core.trustctime=false -c core.untrackedCache=false -c core.splitIndex=false \
        -c core.sparseCheckout=false -c core.autocrlf=false -c core.safecrlf=false -c commit.gpgSign=false -c gc.auto=0 \
        -c maintenance.auto=false -c submodule.recurse=false -c advice.addEmbeddedRepo=false -c safe.directory='*' "$@"
}

# Only regular files and directories are taken over; a link could lead anywhere, and a pipe would never end.
for part in HEAD packed-refs index info/exclude; do
    [ -f "$agent/$part" ] && [ ! -L "$agent/$part" ] && cp "$agent/$part" "$own/$part" 2>/dev/null
done
[ -d "$agent/refs" ] && [ ! -L "$agent/refs" ] && cp -RP "$agent/refs/." "$own/refs/" 2>/dev/null
[ -f "$own/HEAD" ] || echo 'ref: refs/heads/none' >"$own/HEAD"
rm -rf "$own/refs/replace"

git cat-file -e "${BASE:-none}^{commit}" 2>/dev/null || stop no-base 12 "the commit to build on is gone"

# Where the agent is: on its branch, on another, on none. Behind the base, or nowhere, its files go on top of the base.
head=$(git rev-parse --verify --quiet 'HEAD^{commit}') || head=$BASE
git cat-file -e "$head^{tree}" 2>/dev/null || head=$BASE
if git merge-base --is-ancestor "$head" "$BASE" 2>/dev/null; then head=$BASE; fi

# The index only saves reading unchanged files; a broken one, or one that hides files, is made anew.
if [ ! -f "$own/index" ] || ! git ls-files -s >/dev/null 2>&1 || git ls-files -v 2>/dev/null | grep -q '^[a-zS]'; then
    rm -f "$own/index"
    git read-tree "$head" || stop no-index 13 "the index can't be made"
fi
# Some files can't be read, perhaps; the others count. What was added to the index by force stays in it.
git add -A --ignore-errors -- . >&2 || echo "pack: some files were not added" >&2
tree=$(git write-tree) || stop no-index 13 "the files can't be written down"

if [ "$tree" != "$(git rev-parse --verify --quiet "$head^{tree}")" ]; then
    head=$(printf '%s\n' "${MESSAGE:-Changes}" | git commit-tree -p "$head" -F - "$tree") || stop no-commit 14 "the commit can't be made"
fi
if [ "$tree" = "$(git rev-parse --verify --quiet "$BASE^{tree}")" ]; then
    : >"$OUT/unchanged" || stop no-bundle 15 "can't write to $OUT"
    stop unchanged 0
fi

rm -rf "$own/refs" "$own/packed-refs" && mkdir -p "$own/refs" && echo 'ref: refs/heads/none' >"$own/HEAD"
git update-ref refs/cloud-agent/out "$head" || stop no-commit 14 "the commit is not there"
git bundle create --quiet --version=2 "$own/work.bundle" refs/cloud-agent/out "^$BASE" || stop no-bundle 15 "the bundle can't be made"
mv "$own/work.bundle" "$OUT/work.bundle" && printf '%s\n' "$head" >"$OUT/head" || stop no-bundle 15 "can't write to $OUT"
stop packed 0
