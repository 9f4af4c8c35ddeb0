// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/core/ep11/family"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// Engine does calls on keys for applications. It holds no key and is safe for concurrent use; package core/ep11 has it.
type Engine interface {
	Do(ctx context.Context, env coreep11.Env, call ep11.Call) (ep11.Answer, []coreep11.Use, error)
}

// Limits of calls at a time.
const (
	maxCalls       = 16_384 // under way
	maxCallsBusyBy = 4      // of them at work, for each processor; the others wait for one, or for the disk
)

// applications is what a domain has for keys of applications.
type applications struct {
	engine Engine // nil: there are none
	rates  callRates
	uses   useQueue
	pairs  pairPool
	opened *coreep11.Opened
	calls  atomic.Int64  // under way
	turns  chan struct{} // has room for those that may be at work
}

func newApplications(e Engine, opened *coreep11.Opened) applications {
	return applications{engine: e, opened: opened, turns: make(chan struct{}, maxCallsBusyBy*runtime.GOMAXPROCS(0)), uses: useQueue{wake: make(chan struct{}, 1)},
		pairs: pairPool{wake: make(chan struct{}, 1)}}
}

// EP11 does a call of an application under its grant. What comes of it, refusals too, is in the answer; an error says that the session is not good, or
// that the message is not one of it: nothing was done then.
//
// No lock is held while the engine works. What it makes is given out only once its uses are in the log, durable and pinned.
func (d *Domain) EP11(ctx context.Context, in message.AppCall) (message.AppAnswer, error) {
	if d.apps.engine == nil {
		return message.AppAnswer{}, problem.New(problem.Unsupported, "this core has no engine for keys of applications")
	}
	if d.withKeys() != nil {
		return refusedCall(ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain was zeroized")), nil
	}
	if err := d.mayServeApps(); err != nil {
		return refusedCall(d.callFailure(err)), nil
	}
	if err := d.checkCall(in); err != nil {
		return message.AppAnswer{}, err
	}
	if d.apps.calls.Add(1) > maxCalls {
		d.apps.calls.Add(-1)
		return refusedCall(tooBusy("too many calls are under way")), nil
	}
	defer d.apps.calls.Add(-1)
	answer, err := d.call(ctx, in)
	if err == nil {
		return message.AppAnswer{Answer: answer.Encode()}, nil
	}
	switch gone := d.withKeys(); {
	case gone != nil: // whatever else went wrong follows from that
		err = gone
	case errors.Is(err, errNoSession):
		return message.AppAnswer{}, noSession()
	}
	return refusedCall(d.callFailure(err)), nil
}

func refusedCall(f *ep11.Failure) message.AppAnswer { return message.AppAnswer{Failure: f} }

// notAllowed is the one refusal of everything that a grant, or the lack of one, stands against.
func notAllowed() *ep11.Failure {
	return ep11.Fail(ep11.CKR_IBM_STATIC_POLICY, "no grant that is in force allows this")
}

func tooBusy(why string) *ep11.Failure {
	return &ep11.Failure{Code: ep11.CKR_IBM_TRANSPORT_LIMIT, Detail: why, Retry: true}
}

// errNoSession says that the session ended between its MAC and the decision.
var errNoSession = errors.New("the session is past its time, or another's")

func noSession() error {
	return problem.New(problem.Unauthenticated, "the session is not open, or the MAC is not its: open another session")
}

// callFailure gives the return code of what ended a call.
func (d *Domain) callFailure(err error) *ep11.Failure {
	var code ep11.Code
	if errors.As(err, &code) {
		return ep11.FailureOf(err)
	}
	switch problem.KindOf(err) {
	case problem.Forbidden:
		return notAllowed()
	case problem.Frozen:
		return ep11.Fail(ep11.CKR_IBM_STATIC_POLICY, "the domain is frozen or draining")
	case problem.Zeroized:
		return ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain was zeroized")
	case problem.TimeUncertain:
		return &ep11.Failure{Code: ep11.CKR_DEVICE_ERROR, Detail: "the clock is not certain", Retry: true}
	case problem.Busy:
		return tooBusy("the core is busy; the call may have been counted")
	case problem.Stopped:
		return &ep11.Failure{Code: ep11.CKR_IBM_ERROR_STATE, Detail: "the core has stopped", Retry: true}
	default:
		d.slog.Error("a call of an application failed", "error", err)
		return ep11.FailureOf(err)
	}
}

// checkCall says whether a message is of an open session, and new.
func (d *Domain) checkCall(in message.AppCall) error {
	if len(in.Session) != 16 || len(in.MAC) != sha256.Size {
		return problem.New(problem.Malformed, "a session has 16 bytes and a MAC %d", sha256.Size)
	}
	if err := in.Caller.Check(); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	id := [16]byte(in.Session)
	d.sessionMu.Lock()
	key, ok := d.sessions[id]
	d.sessionMu.Unlock()
	if !ok {
		return noSession()
	}
	m := in.Message()
	err := key.Use(func(k []byte) error {
		mac := hmac.New(sha256.New, k)
		mac.Write(m)
		if !hmac.Equal(mac.Sum(nil), in.MAC) {
			return noSession()
		}
		return nil
	})
	if errors.Is(err, secret.ErrWiped) {
		return noSession()
	}
	if err == nil && !d.numbersOf(id).take(in.Number) {
		err = problem.New(problem.AlreadyDone, "a call of this session with the number %d was taken already, or it comes too late", in.Number)
	}
	return err
}

// numbersOf gives the numbers of a session's calls.
func (d *Domain) numbersOf(id [16]byte) *callNumbers {
	d.sessionMu.Lock()
	defer d.sessionMu.Unlock()
	n, ok := d.numbers[id]
	if !ok {
		n = &callNumbers{}
		if _, open := d.sessions[id]; open {
			d.numbers[id] = n
		}
	}
	return n
}

// maxTries is how often a call is begun, where keys that it needs were wiped meanwhile for a reason that does not concern it.
const maxTries = 3

// call does a call that is of a session.
func (d *Domain) call(ctx context.Context, in message.AppCall) (ep11.Answer, error) {
	c, err := ep11.DecodeCall(in.Call)
	if err != nil {
		return ep11.Answer{}, err
	}
	a, err := d.admitCall(in, c.Function)
	if err != nil {
		return ep11.Answer{}, err
	}
	if err := d.waitFor(ctx, a.grant.Seq); err != nil {
		return ep11.Answer{}, err
	}
	if !d.apps.rates.take(&a.grant, a.boot) {
		return ep11.Answer{}, tooBusy("more calls than the grant's rate allows")
	}
	a.hash = sha256.Sum256(in.Call)
	counted := false
	for try := 1; ; try++ {
		answer, uses, wiped, err := d.perform(ctx, a, c)
		if errors.Is(err, family.ErrFault) { // before anything else that may go wrong hides it
			d.fail(err)
			return ep11.Answer{}, err
		}
		if len(uses) > 0 { // also of a call that failed: what failed, and when, can tell of a key
			if err := d.accountUses(ctx, a, uses); err != nil {
				return ep11.Answer{}, err
			}
			counted = true
		}
		if err == nil {
			err = d.mayRelease()
		}
		if err == nil {
			return answer, nil
		}
		if !wiped || try == maxTries {
			return ep11.Answer{}, err
		}
		if a, err = d.admitAgain(in, c.Function, a); err != nil {
			if counted && errors.Is(err, errNoSession) { // the gateway would open another one and have it counted twice
				err = &ep11.Failure{Code: ep11.CKR_DEVICE_ERROR, Detail: "the session ended while the call was under way; it was counted", Retry: true}
			}
			return ep11.Answer{}, err
		}
	}
}

// mayRelease says whether what was made may still be given out.
func (d *Domain) mayRelease() error {
	if err := d.Cause(); err != nil {
		return problem.Wrap(problem.Stopped, err, "the core has found a fault and gives nothing out")
	}
	if err := d.mayServeApps(); err != nil {
		return err
	}
	return d.withKeys()
}

// admission is what a call may do, as the log has it.
type admission struct {
	grant authority.Grant
	owner [32]byte
	now   int64 // Unix seconds, the latest that it may be
	boot  int64 // clock since boot when that was read
	epoch struct{ current, previous, next uint64 }
	on    points.Set
	hash  [32]byte // of the call
}

// admitCall decides on a call: the session is its gateway's, a grant in force has its function and uses left, and there are working keys.
func (d *Domain) admitCall(in message.AppCall, f ep11.Function) (a admission, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.Cause(); err != nil {
		return a, problem.Wrap(problem.Stopped, err, "the core has failed and decides nothing any more")
	}
	at, err := d.now()
	if err != nil {
		return a, err
	}
	s := d.state
	if err := s.TakesApps(at); err != nil {
		return a, err
	}
	x, ok := s.Session([16]byte(in.Session))
	if !ok || authority.Expired(x.NotAfter, at.Time, at.Bound) {
		return a, errNoSession
	}
	g, ok := s.Grant(x.Service, in.Caller)
	if !ok {
		return a, problem.New(problem.Forbidden, "no grant")
	}
	if err := s.InForce(g, at); err != nil {
		return a, err
	}
	life := s.Life()
	if word := functionWord(f); word != "" && !g.Body.Allows(word) || !life.Allowed.HasAll(pointsOf(word)) {
		return a, problem.New(problem.Forbidden, "the grant has not this function, or it is switched off")
	}
	if m := g.Body.MaxUses; m > 0 && g.Used >= m && (functionWord(f) != "" || f == ep11.FnLogin) {
		return a, problem.New(problem.Forbidden, "the uses of the grant are used up")
	}
	a.grant, a.owner, a.now, a.boot = *g, authority.AppOwner(x.Service, in.Caller), (at.Time+at.Bound)/1e9, d.readAt
	if life.Phase == authority.Zeroized {
		return a, problem.New(problem.Zeroized, "the domain was zeroized")
	}
	a.epoch.current = s.Epoch
	if p := life.Previous; p != nil {
		a.epoch.previous = p.Epoch
	}
	if n := life.Next; n != nil && n.Committed {
		a.epoch.next = n.Epoch
	}
	a.on = life.Allowed
	if !a.grant.Body.Import {
		a.on = a.on.Without(points.AppImport)
	}
	return a, nil
}

// admitAgain decides anew on a call that began before.
func (d *Domain) admitAgain(in message.AppCall, f ep11.Function, before admission) (admission, error) {
	a, err := d.admitCall(in, f)
	a.hash = before.hash
	return a, err
}

// functionWord gives the function that a grant must have for a call, or none.
func functionWord(f ep11.Function) request.AppFunction {
	switch f {
	case ep11.FnDigestKey:
		return request.AppDigest
	case ep11.FnEncryptInit, ep11.FnEncryptUpdate, ep11.FnEncrypt, ep11.FnEncryptFinal, ep11.FnEncryptSingle:
		return request.AppEncrypt
	case ep11.FnDecryptInit, ep11.FnDecryptUpdate, ep11.FnDecrypt, ep11.FnDecryptFinal, ep11.FnDecryptSingle:
		return request.AppDecrypt
	case ep11.FnSignInit, ep11.FnSignUpdate, ep11.FnSign, ep11.FnSignFinal, ep11.FnSignSingle:
		return request.AppSign
	case ep11.FnVerifyInit, ep11.FnVerifyUpdate, ep11.FnVerify, ep11.FnVerifyFinal, ep11.FnVerifySingle:
		return request.AppVerify
	case ep11.FnReencryptSingle:
		return request.AppReencrypt
	case ep11.FnGenerateKey, ep11.FnGenerateKeyPair:
		return request.AppGenerate
	case ep11.FnWrapKey:
		return request.AppWrap
	case ep11.FnUnwrapKey:
		return request.AppUnwrap
	case ep11.FnDeriveKey:
		return request.AppDerive
	case ep11.FnGetAttribute:
		return request.AppAttributes
	case ep11.FnSetAttribute:
		return request.AppModify
	case ep11.FnRewrapKeyBlob:
		return request.AppRewrap
	default: // random numbers, digests of data, lists, login and logout
		return ""
	}
}

// pointsOf gives the control points that a function needs whatever it is done with; the engine asks for those of mechanisms and keys.
func pointsOf(f request.AppFunction) points.Set {
	switch f {
	case request.AppGenerate:
		return points.Make(points.AppKeys)
	case request.AppSign:
		return points.Make(points.RawSign)
	default:
		return points.Set{}
	}
}

// withoutMechanism says whether a function has no mechanism.
func withoutMechanism(f ep11.Function) bool {
	switch f {
	case ep11.FnGenerateRandom, ep11.FnGetMechanismList, ep11.FnGetMechanismInfo, ep11.FnGetAttribute, ep11.FnSetAttribute, ep11.FnLogin, ep11.FnLogout, ep11.FnRewrapKeyBlob:
		return true
	default:
		return false
	}
}

// perform has the engine do a call once, when it is its turn. wiped says that a key which it needed was wiped meanwhile.
func (d *Domain) perform(ctx context.Context, a admission, c ep11.Call) (answer ep11.Answer, uses []coreep11.Use, wiped bool, err error) {
	select {
	case d.apps.turns <- struct{}{}:
	case <-ctx.Done():
		return answer, nil, false, problem.Wrap(problem.Busy, ctx.Err(), "gave up waiting")
	case <-d.ctx.Done():
		return answer, nil, false, problem.New(problem.Stopped, "the core is ending")
	}
	defer func() { <-d.apps.turns }()
	env, err := d.callEnv(a)
	if err != nil {
		return answer, nil, errors.Is(err, secret.ErrWiped), err
	}
	answer, uses, err = d.apps.engine.Do(ctx, env, c)
	for _, e := range []*coreep11.Epoch{env.Current, env.Previous, env.Next} {
		wiped = wiped || e != nil && e.Parent.Len() == 0
	}
	return answer, uses, err != nil && (wiped || env.Login.Len() == 0), err
}

// callEnv is what the engine works with.
func (d *Domain) callEnv(a admission) (coreep11.Env, error) {
	env := coreep11.Env{Arena: d.cfg.Arena, Random: fill(d.cfg.Fill), Pool: &d.apps.pairs, Domain: [32]byte(d.ID()), Points: a.on, Owner: a.owner, Grant: [32]byte(a.grant.Request),
		Compat: a.grant.Body.Compat && a.on.Has(points.AppCompat), Now: a.now, Opened: d.apps.opened, Since: time.Unix(0, a.boot), Sessions: &logins{d: d, a: a},
		Allow: func(x coreep11.Access) error { return d.allow(a, x) }}
	login, err := d.appParent(loginEpoch)
	if err != nil {
		return env, d.keyGone(err)
	}
	env.Login = login
	for _, e := range []struct {
		number uint64
		to     **coreep11.Epoch
	}{{a.epoch.current, &env.Current}, {a.epoch.previous, &env.Previous}, {a.epoch.next, &env.Next}} {
		if e.number == 0 {
			continue
		}
		w, err := d.working.get(e.number)
		if err != nil {
			if e.number != a.epoch.current { // not to be had from the root: what is under it can't be used
				continue
			}
			return env, d.keyGone(err)
		}
		k, err := d.appParent(e.number)
		if err != nil {
			return env, d.keyGone(err)
		}
		*e.to = &coreep11.Epoch{Number: e.number, Pattern: w.Pattern, Parent: k}
	}
	return env, nil
}

// keyGone says why a working key can't be used.
func (d *Domain) keyGone(err error) error {
	if gone := d.withKeys(); gone != nil {
		return gone
	}
	return err
}

// fill is a source of randomness.
type fill func(ctx context.Context, b []byte) error

// Fill fills b.
func (f fill) Fill(ctx context.Context, b []byte) error { return f(ctx, b) }

// allow decides on an access of a call: the grant has the mechanism, and the key is the caller's, or one that the grant names, and not revoked.
func (d *Domain) allow(a admission, x coreep11.Access) error {
	g, id, word := &a.grant.Body, entry.KeyOf(x.Key), functionWord(x.Function)
	switch {
	case word != "" && !g.Allows(word),
		word != "" && !withoutMechanism(x.Function) && !g.Mechanism(x.Mechanism),
		x.Keyed && x.New && len(g.Keys) > 0,
		x.Keyed && !x.New && !g.Key(id),
		x.Keyed && x.Owner != a.owner && (x.New || len(g.Keys) == 0):
		return notAllowed()
	}
	if !x.Keyed || x.New {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state.AppKeyRevoked(id) {
		return notAllowed()
	}
	return nil
}
