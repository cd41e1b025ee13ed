"""`brownout completion`: scripts that have a shell, or kubectl, complete commands, options and names."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.cli.main import Subparsers

BASH = """\
# brownout in bash: source <(brownout completion bash), or write this to /etc/bash_completion.d/brownout
_brownout() {
    local candidate rest
    COMPREPLY=()
    while IFS=$'\\t' read -r candidate rest; do
        case $candidate in
            :4) compopt +o default 2>/dev/null ;;
            :*) ;;
            "${COMP_WORDS[COMP_CWORD]}"*) COMPREPLY+=("$candidate") ;;
        esac
    done < <(brownout __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _brownout brownout
"""
ZSH = """\
#compdef brownout
# brownout in zsh: source <(brownout completion zsh), or write this to a folder of $fpath as _brownout
_brownout() {
    local -a found
    local line files=
    for line in "${(@f)$(brownout __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        case $line in
            :0) files=yes ;;
            :*) ;;
            *$'\\t'*) found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}") ;;
            ?*) found+=("${line//:/\\\\:}") ;;
        esac
    done
    (( $#found )) && _describe brownout found
    [[ -n $files ]] && _files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _brownout "$@"
else
    compdef _brownout brownout
fi
"""
FISH = """\
# brownout in fish: brownout completion fish | source, or write this to ~/.config/fish/completions/brownout.fish
function __brownout_complete
    set -l words (commandline -opc) (commandline -ct)
    for line in (brownout __complete $words[2..-1] 2>/dev/null)
        switch $line
            case ':0'
                __fish_complete_path (commandline -ct)
            case ':*'
            case '*'
                echo $line
        end
    end
end
complete -c brownout -f -a '(__brownout_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
DESCRIPTION = """\
Prints a script that completes commands, options, and the names of features, tiers and variants that the cluster has.
`kubectl brownout` is completed by kubectl itself (1.26 and later), which runs kubectl_complete-brownout: it is installed beside
kubectl-brownout. Where it is not, write this to a file of that name on the PATH and make it executable:

  #!/bin/sh
  exec kubectl brownout __complete "$@"
"""


def register(subparsers: "Subparsers") -> None:
    """Add `completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="print a script that completes commands in your shell",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=tuple(SCRIPTS), metavar="bash|zsh|fish")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(SCRIPTS[arguments.shell], end="")
    return 0


def complete(words: Sequence[str] | None = None) -> int:
    """Answer kubectl, or one of the scripts: what may stand in place of the last word."""
    from brownout.cli.completing.candidates import complete as candidates
    from brownout.cli.completing.names import of_cluster

    print(*candidates(list(sys.argv[1:] if words is None else words), of_cluster), sep="\n")
    return 0
