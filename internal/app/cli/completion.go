// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"sort"
	"strings"

	"github.com/alecthomas/kong"
)

type completeCmd struct {
	Shell string `arg:"" enum:"bash" default:"bash" help:"bash."`
}

// Run writes the script: for each command, the words that may follow it.
func (c *completeCmd) Run(e *env) error {
	var cases []string
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		var next []string
		for _, ch := range n.Children {
			if ch.Hidden || ch.Type != kong.CommandNode {
				continue
			}
			next = append(next, ch.Name)
			walk(ch, strings.TrimSpace(path+" "+ch.Name))
		}
		for _, group := range n.AllFlags(true) {
			for _, f := range group {
				next = append(next, "--"+f.Name)
			}
		}
		sort.Strings(next)
		cases = append(cases, fmt.Sprintf("    %q) words=%q ;;", path, strings.Join(next, " ")))
	}
	walk(e.model.Node, "")
	sort.Strings(cases)
	_, err := fmt.Fprintf(e.Out, `# bash completion of strongroom; load it with: source <(strongroom completion bash)
_strongroom() {
  local cur=${COMP_WORDS[COMP_CWORD]} path= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in -*) ;; *) [[ $i -le 2 ]] && path="$path ${COMP_WORDS[i]}" ;; esac
  done
  case "${path# }" in
%s
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ -z $COMPREPLY ]] && COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _strongroom strongroom
`, strings.Join(cases, "\n"))
	return err
}
