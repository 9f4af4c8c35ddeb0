// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// BreakGlass is what people may do in a crisis.
type BreakGlass struct {
	Who      []Branch          `json:"who" doc:"approves a drain, and its transfers"`
	DrainTo  []string          `json:"drainTo,omitempty" doc:"ids in the address book"`
	Duration int64             `json:"duration" doc:"seconds that a drain lasts; then the domain is frozen"`
	Freeze   []custody.GroupID `json:"freeze,omitempty" doc:"whose people may freeze alone; absent: those of who"`
	Resume   []Branch          `json:"resume" doc:"ends a freeze or a drain, beside the change plan"`
}

// Oversight says who may hold requests, and who releases them.
type Oversight struct {
	Release *[]Branch         `json:"release,omitempty" doc:"absent: the change plan"`
	Hold    []custody.GroupID `json:"hold,omitempty" doc:"absent: the second line, or the administrators"`
}

// Mode is the operational state of a domain.
type Mode struct {
	Mode   policy.Mode      `json:"mode" doc:"normal, frozen or draining"`
	Since  uint64           `json:"since,omitempty" doc:"entry; domain_unfreeze, domain_drain and domain_resume name it"`
	By     custody.PersonID `json:"by,omitempty" doc:"who asked for it; absent after a gap of the log"`
	Reason string           `json:"reason,omitempty"`
	Until  string           `json:"until,omitempty" doc:"end of a drain; the domain is frozen then"`
}

func breakGlassOf(b *policy.BreakGlass) *BreakGlass {
	if b == nil {
		return nil
	}
	return &BreakGlass{Who: append([]Branch{}, PlanOf(b.Who)...), DrainTo: b.DrainTo, Duration: b.Duration, Freeze: b.Freeze, Resume: append([]Branch{}, PlanOf(b.Resume)...)}
}

func (b *BreakGlass) canonical() *policy.BreakGlass {
	if b == nil {
		return nil
	}
	return &policy.BreakGlass{Who: planFrom(b.Who), DrainTo: b.DrainTo, Duration: b.Duration, Freeze: b.Freeze, Resume: planFrom(b.Resume)}
}

func oversightOf(o *policy.Oversight) *Oversight {
	if o == nil {
		return nil
	}
	out := &Oversight{Hold: o.Hold}
	if o.Release != nil {
		plan := append([]Branch{}, PlanOf(*o.Release)...)
		out.Release = &plan
	}
	return out
}

func (o *Oversight) canonical() *policy.Oversight {
	if o == nil {
		return nil
	}
	out := &policy.Oversight{Hold: o.Hold}
	if o.Release != nil {
		p := planFrom(*o.Release)
		out.Release = &p
	}
	return out
}

// Hold is what keeps a request that waits from being done.
type Hold struct {
	Entry  uint64           `json:"entry" doc:"that holds it; a release names it"`
	By     custody.PersonID `json:"by"`
	Reason string           `json:"reason"`
}
