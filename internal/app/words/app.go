// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// app says what an operation on applications and their keys asks for.
func app(b request.AppBody) []string {
	switch b := b.(type) {
	case *request.AppGrantBody:
		return appGrant(b)
	case *request.AppRevokeBody:
		return []string{fmt.Sprintf("end the grant %q: its caller uses no key from then on, and all its logins end", b.Grant)}
	case *request.AppKeyRevokeBody:
		out := []string{"end these keys of applications for ever; nothing undoes that:"}
		for _, k := range b.Keys {
			out = append(out, "  "+string(k))
		}
		return out
	default:
		return []string{fmt.Sprintf("something this version can't describe (%T); do not sign it", b)}
	}
}

func appGrant(b *request.AppGrantBody) []string {
	out := []string{fmt.Sprintf("let an application use keys, as the grant %q:", b.Grant), fmt.Sprintf("  caller %s, if the gateway %s says that it is that", b.Caller, b.Gateway),
		"  functions: " + joined(b.Functions)}
	var names []string
	for _, m := range b.Mechanisms {
		names = append(names, ep11.MechanismName(m))
	}
	if out = append(out, "  mechanisms: "+strings.Join(names, ", ")); len(names) == 0 {
		out[len(out)-1] = "  no mechanism: only functions that need none"
	}
	if len(b.Keys) == 0 {
		out = append(out, "  keys: all that this caller has made, and new ones")
	} else {
		out = append(out, "  keys: these alone, whoever made them: "+joined(b.Keys))
	}
	out = append(out, fmt.Sprintf("  at most %d calls a second, %d at once after a pause", b.Rate, b.Burst))
	if b.MaxUses > 0 {
		out = append(out, fmt.Sprintf("  at most %d uses in all", b.MaxUses))
	}
	if b.Import {
		out = append(out, "  keys from outside may be brought in")
	}
	if b.Compat {
		out = append(out, "  with the compatibility profile: what older clients of hardware modules do is allowed, for instance a key that both wraps and decrypts")
	}
	return append(out, "  until "+Unix(b.NotAfter), "a grant that this caller has ends with it")
}

// effectsOnApps adds what an effect on applications has.
func effectsOnApps(a request.AppEffects) (s string) {
	if a.Grant != "" {
		s += fmt.Sprintf(", grant %q", a.Grant)
	}
	if a.Caller != "" {
		s += fmt.Sprintf(" for %s of the gateway %s", a.Caller, a.Gateway)
	}
	if len(a.Keys) > 0 {
		s += ", keys " + joined(a.Keys)
	}
	return s
}

func joined[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}
