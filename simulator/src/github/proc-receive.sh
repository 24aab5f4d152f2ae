#!/bin/sh
# Decides each pushed ref as github.com does. Only a proc-receive hook can choose the words behind "! [remote rejected]";
# an update hook would say "hook declined". SIMULATOR_WORKFLOWS=yes if the token may change workflow files; the file
# "protected" holds one shell pattern of refused branches per line.

read_line() { # one pkt-line into $line; fails on a flush packet or the end
    size=$(dd bs=1 count=4 2>/dev/null)
    case $size in '' | 0000 | 0001 | 0002) return 1 ;; esac
    line=$(dd bs=1 count=$((0x$size - 4)) 2>/dev/null | tr -d '\000')
}

write_line() {
    text=$1
    printf '%04x%s\n' $((${#text} + 5)) "$text"
}

verdict() { # prints why the move $1..$2 of $3 is refused, or nothing
    zero=0000000000000000000000000000000000000000
    branch=${3#refs/heads/}
    if [ -f protected ]; then
        while IFS= read -r pattern; do
            # shellcheck disable=SC2254 # The pattern shall match as a pattern.
            case $branch in $pattern)
                {
                    echo "error: GH013: Repository rule violations found for $3."
                    echo
                    echo "- Changes must be made through a pull request."
                } >&2
                echo 'push declined due to repository rule violations'
                return
                ;;
            esac
        done <protected
    fi
    [ "$2" = $zero ] && return
    [ "$SIMULATOR_WORKFLOWS" = yes ] && return
    changed=$(git rev-list "$2" --not --branches |
        git diff-tree --stdin -r --root --name-only --no-commit-id -- .github/workflows | head -n 1)
    if [ -n "$changed" ]; then
        echo "refusing to allow a GitHub App to create or update workflow \`$changed\` without \`workflows\` permission"
    fi
}

while read_line; do :; done
write_line version=1
printf 0000

commands=$(while read_line; do printf '%s\n' "$line"; done)
printf '%s\n' "$commands" | {
    while read -r old new ref; do
        [ -n "$ref" ] || continue
        why=$(verdict "$old" "$new" "$ref" </dev/null)
        if [ -z "$why" ]; then
            case $new in
            *[!0]*) git update-ref "$ref" "$new" "$old" </dev/null 2>/dev/null || why='failed to update ref' ;;
            *) git update-ref -d "$ref" "$old" </dev/null 2>/dev/null || why='failed to update ref' ;;
            esac
        fi
        if [ -n "$why" ]; then write_line "ng $ref $why"; else write_line "ok $ref"; fi
    done
    printf 0000
}
