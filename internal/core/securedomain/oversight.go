// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// modeSwitch is the operational state as who uses keys sees it, without the sequencer.
type modeSwitch struct {
	mode  policy.Mode // empty: normal
	since uint64
	until int64 // end of a drain, Unix seconds
}

func modeSwitchOf(s *authority.State) modeSwitch {
	m := s.ModeState()
	if m == nil {
		return modeSwitch{}
	}
	return modeSwitch{mode: m.Mode, since: m.Since, until: m.Until}
}

// overseen takes a change of the operational state into effect, at once: what is kept unsealed is wiped, the keys of warm wallets are confined, and sessions
// end. Nothing that is signed meanwhile is given out. The caller holds mu.
func (d *Domain) overseen(e *entry.Oversight) {
	if e.Mode == "" {
		return
	}
	d.setSwitches()
	if e.Mode == policy.Normal {
		return
	}
	d.forget("the domain is " + string(e.Mode))
	d.dropSessions()
	d.confineAll()
}

// atOnce says whether an operation, where one person does it alone, is done in the same breath as it is taken: between request and effect nobody else decides
// anything.
func atOnce(o request.Operation) bool { return o.TakesAway() }

// mayUseKeys says whether the operational state lets keys be used at all.
func (d *Domain) mayUseKeys() error {
	switch m := d.switches.Load().mode; {
	case m.mode == "":
		return nil
	case m.mode == policy.Draining && !d.drained(m):
		return nil
	default:
		return m.problem("no key is used")
	}
}

// maySign says whether the permit of an entry may be signed now. One that stands from before the domain was frozen or began to drain waits until that is over.
func (d *Domain) maySign(permit uint64) error {
	if err := d.mayUseKeys(); err != nil {
		return err
	}
	if m := d.switches.Load().mode; m.mode != "" && permit < m.since {
		return m.problem("a permit from before that waits until it is over")
	}
	return nil
}

// drained says whether a drain may be past its time. A clock that is not certain says so.
func (d *Domain) drained(m modeSwitch) bool {
	r := d.cfg.Clock.Now()
	return !r.Certain || authority.Expired(m.until, r.Time, r.Bound)
}

// mayServeApps says whether applications may use keys.
func (d *Domain) mayServeApps() error {
	if m := d.switches.Load().mode; m.mode != "" {
		return m.problem("applications use no keys")
	}
	return nil
}

// mayCarry says whether anything goes to offline domains, or comes back.
func (d *Domain) mayCarry() error {
	if m := d.switches.Load().mode; m.mode != "" {
		return m.problem("nothing goes to an offline domain or comes back")
	}
	return nil
}

func (m modeSwitch) problem(what string) error {
	rule := policy.RuleFrozen
	if m.mode == policy.Draining {
		rule = policy.RuleDraining
	}
	p := problem.New(problem.Frozen, "the domain is %s since entry %d: %s", m.mode, m.since, what)
	p.Rule = rule
	return p
}

// modeView tells of the operational state. The caller holds mu.
func (d *Domain) modeView() *message.Mode {
	m := d.state.ModeState()
	if m == nil {
		return nil
	}
	return &message.Mode{Mode: d.state.Mode(d.moment(d.cfg.Clock.Now())), Since: m.Since, By: m.By, Reason: m.Reason, Until: m.Until}
}

// degraded lists what the core goes on without, in words. docs/spec/operational-state.md says which acts go on.
func (d *Domain) degraded(certain bool) (out []string) {
	if !certain {
		out = append(out, "clock: not certain; nothing is permitted or approved, what takes power away goes on")
	}
	if d.Cause() != nil {
		out = append(out, "core: has found a fault; it is read, and nothing else")
	}
	return out
}
