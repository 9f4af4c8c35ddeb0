// SPDX-License-Identifier: Apache-2.0

package policy

// RuleReplay refuses a change of the rules without a replay of the log, where the document requires one ([Document.ReplayRequired]).
const RuleReplay = "replay"

func diffReplay(old, next Document, say func(string, ...any)) {
	switch {
	case next.ReplayRequired && !old.ReplayRequired:
		say("a change of the rules needs a replay of the log from now on")
	case old.ReplayRequired && !next.ReplayRequired:
		say("a change of the rules needs no replay of the log any more")
	}
}
