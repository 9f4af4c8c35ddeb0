// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/request"
)

// oversight says what an operation on the operational state, or on a request that waits, asks for.
func oversight(b request.OversightBody) (out []string) {
	switch b := b.(type) {
	case *request.FreezeBody:
		out = []string{"FREEZE the domain at once: nothing is permitted, signed or used until people end it; sessions end"}
	case *request.UnfreezeBody:
		out = []string{fmt.Sprintf("END THE FREEZE of entry %d: transfers, keys and applications work again", b.Since)}
	case *request.DrainBody:
		out = []string{"DRAIN the domain for the time that the rules say: only the destinations of breakGlass.drainTo are paid; then it is frozen; sessions end"}
		if b.Since != 0 {
			out = append(out, fmt.Sprintf("instead of the freeze of entry %d", b.Since))
		}
	case *request.ResumeBody:
		out = []string{fmt.Sprintf("END the freeze or drain of entry %d by the break-glass plan: transfers, keys and applications work again", b.Since)}
	case *request.RequestHoldBody:
		out = []string{fmt.Sprintf("HOLD the request %x: it is neither signed nor executed until it is released", []byte(b.Request))}
	case *request.RequestReleaseBody:
		out = []string{fmt.Sprintf("RELEASE the request %x from the hold of entry %d", []byte(b.Request), b.Hold)}
	default:
		return []string{fmt.Sprintf("something this version can't describe (%T); do not sign it", b)}
	}
	return append(out, "because: "+b.Why())
}

// lineOf says which line of defence and roles somebody is enrolled with.
func lineOf(line uint8, roles []request.Role) (out []string) {
	if line > 0 {
		out = append(out, fmt.Sprintf("in line %d of defence", line))
	}
	if len(roles) > 0 {
		names := make([]string, len(roles))
		for i, r := range roles {
			names[i] = string(r)
		}
		out = append(out, "with the roles "+strings.Join(names, ", ")+", and no other power")
	}
	return out
}
