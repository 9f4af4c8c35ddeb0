// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Grant lets a caller of a gateway use keys for applications. docs/spec/grep11.md. Its body is never changed.
type Grant struct {
	Seq  uint64               `cbor:"1,keyasint"` // entry that made it
	Body request.AppGrantBody `cbor:"2,keyasint"`
	Used uint64               `cbor:"3,keyasint"` // uses that the log accounts

	Request custody.RequestID `cbor:"4,keyasint"`           // that made it; stands in the keys that are made under it
	Logins  [][32]byte        `cbor:"5,keyasint,omitempty"` // open login sessions of the caller, in the order of opening
}

// Limits of grants.
const (
	MaxGrants      = 10_000
	MaxRevokedKeys = 100_000
	MaxLogins      = 64 // open login sessions of a caller
)

// appCaller is who holds keys for applications: a caller of a gateway. It has one grant at most.
type appCaller struct {
	gateway custody.PersonID
	caller  request.AppCaller
}

func callerOf(b *request.AppGrantBody) appCaller { return appCaller{b.Gateway, b.Caller} }

// AppOwner names a caller of a gateway in what is sealed for them.
func AppOwner(gateway custody.PersonID, caller request.AppCaller) [32]byte {
	return canon.Hash(canon.TagAppOwner, &struct {
		G custody.PersonID  `cbor:"1,keyasint"`
		C request.AppCaller `cbor:"2,keyasint"`
	}{gateway, caller})
}

// appState is grants and revoked keys.
type appState struct {
	grants  map[appCaller]*Grant
	bySeq   map[uint64]*Grant    // by the entry that made it
	owners  map[[32]byte]*Grant  // by [AppOwner]
	names   map[string]appCaller // by name of the grant
	revoked map[custody.KeyID]revokedKey
}

func newAppState() appState {
	return appState{grants: map[appCaller]*Grant{}, bySeq: map[uint64]*Grant{}, owners: map[[32]byte]*Grant{}, names: map[string]appCaller{}, revoked: map[custody.KeyID]revokedKey{}}
}

// revokedKey is a key for applications that is not used any more. No blob of it is under a later epoch than its own: when that one's working key
// is destroyed, it can be forgotten.
type revokedKey struct {
	Key   custody.KeyID `cbor:"1,keyasint"`
	Seq   uint64        `cbor:"2,keyasint"`
	Epoch uint64        `cbor:"3,keyasint"`
}

// appSection is what the image has of applications. It is left out while it is empty, so that domains without applications have the roots that
// they had before there were any.
type appSection struct {
	Grants  []Grant      `cbor:"1,keyasint,omitempty"` // by entry
	Revoked []revokedKey `cbor:"2,keyasint,omitempty"` // by name
}

// Grant gives the grant that a caller of a gateway works under, whether or not it may have ended. The caller must not change it.
func (s *State) Grant(gateway custody.PersonID, caller request.AppCaller) (*Grant, bool) {
	g, ok := s.apps.grants[appCaller{gateway, caller}]
	return g, ok
}

// GrantAt gives the grant that an entry made, while it stands.
func (s *State) GrantAt(seq uint64) (*Grant, bool) { g, ok := s.apps.bySeq[seq]; return g, ok }

// GrantOwned gives the grant of whoever [AppOwner] names.
func (s *State) GrantOwned(owner [32]byte) (*Grant, bool) {
	g, ok := s.apps.owners[owner]
	return g, ok
}

// GrantNamed gives a grant by its name.
func (s *State) GrantNamed(name string) (*Grant, bool) {
	who, ok := s.apps.names[name]
	return s.apps.grants[who], ok
}

// AnyGrant says whether some grant is such a one.
func (s *State) AnyGrant(is func(*request.AppGrantBody) bool) bool {
	for _, g := range s.apps.grants {
		if is(&g.Body) {
			return true
		}
	}
	return false
}

// Grants lists the grants by entry, from position from, at most n.
func (s *State) Grants(from, n int) (out []Grant) {
	list := s.grantList()
	if from < 0 || from >= len(list) || n <= 0 {
		return nil
	}
	return slices.Clone(list[from:min(from+n, len(list))])
}

func (s *State) grantList() (out []Grant) {
	for _, g := range s.apps.grants {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b Grant) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// AppKeyRevoked says whether a key for applications was revoked.
func (s *State) AppKeyRevoked(id custody.KeyID) bool {
	_, ok := s.apps.revoked[id]
	return ok
}

// noGrant is what somebody hears whom no grant lets do what they ask for. It does not say what is missing.
func noGrant() error {
	return problem.New(problem.Forbidden, "no grant that is in force lets this caller do that; 'strongroom app grant' asks for one")
}

// InForce says whether a grant is in force: its time has surely not ended, and its gateway is still an active service.
func (s *State) InForce(g *Grant, at Moment) error {
	if Expired(g.Body.NotAfter, at.Time, at.Bound) {
		return noGrant()
	}
	if p, ok := s.Rules.Principal(g.Body.Gateway); !ok || !p.Active {
		return noGrant()
	}
	return nil
}

// MayUse says whether one more use of a key may be accounted to the grant that an entry made, besides more that are about to be.
func (s *State) MayUse(grant, more uint64, key [16]byte, mechanism uint64, at Moment) error {
	g := s.grantOf(grant)
	if g == nil {
		return noGrant()
	}
	if err := s.InForce(g, at); err != nil {
		return err
	}
	id := entry.KeyOf(key)
	if mechanism != entry.NoMechanism && !g.Body.Mechanism(mechanism) || !g.Body.Key(id) || s.AppKeyRevoked(id) {
		return noGrant()
	}
	if m := g.Body.MaxUses; m > 0 && (g.Used > m || more >= m-g.Used) {
		return noGrant()
	}
	return nil
}

// grantOf gives the grant that an entry made, or nil.
func (s *State) grantOf(seq uint64) *Grant { return s.apps.bySeq[seq] }

// applyUses takes counts. Which records they sum up is for [entry.Uses.CheckRecords] to say.
func (s *State) applyUses(l entry.Leaf, b *entry.Uses) (func(), error) {
	if err := b.Check(); err != nil {
		return nil, err
	}
	at := Moment{l.Time, l.Bound}
	sums := map[uint64]uint64{}
	for _, c := range b.Counts {
		if err := s.MayUse(c.Grant, sums[c.Grant]+c.Count-1, c.Key, c.Mechanism, at); err != nil {
			return nil, fmt.Errorf("grant of entry %d, key %x: %w", c.Grant, c.Key, err)
		}
		sums[c.Grant] += c.Count
	}
	if err := s.checkLogins(b, at); err != nil {
		return nil, err
	}
	return func() {
		for seq, n := range sums {
			s.grantOf(seq).Used += n
		}
		for _, x := range b.Logins {
			g := s.grantOf(x.Grant)
			g.Logins = append(slices.Clone(g.Logins), x.Session)
		}
		for _, seq := range b.Logouts {
			s.grantOf(seq).Logins = nil
		}
	}, nil
}

// checkLogins says whether each login opens a session that is not open, of a grant in force, and each logout closes one.
func (s *State) checkLogins(b *entry.Uses, at Moment) error {
	for _, x := range b.Logins {
		if err := s.MayLogin(x.Grant, x.Session, at); err != nil {
			return err
		}
	}
	for _, seq := range b.Logouts {
		if g := s.grantOf(seq); g == nil || len(g.Logins) == 0 {
			return fmt.Errorf("the caller of grant %d has no session to close", seq)
		}
	}
	return nil
}

// MayLogin says whether the caller of a grant may open a login session.
func (s *State) MayLogin(grant uint64, session [32]byte, at Moment) error {
	g := s.grantOf(grant)
	if g == nil {
		return noGrant()
	}
	if err := s.InForce(g, at); err != nil {
		return err
	}
	if slices.Contains(g.Logins, session) {
		return problem.New(problem.AlreadyDone, "the session is open already")
	}
	if len(g.Logins) >= MaxLogins {
		return problem.New(problem.Busy, "%d sessions of the caller are open already", MaxLogins)
	}
	return nil
}

// needsApp gives the control points that a grant takes.
func needsApp(o request.AppBody) points.Set {
	b, ok := o.(*request.AppGrantBody)
	if !ok {
		return points.Set{}
	}
	need := points.Make(points.AppKeys)
	if b.Import {
		need = need.With(points.AppImport)
	}
	if b.Compat {
		need = need.With(points.AppCompat)
	}
	if b.Allows(request.AppSign) {
		need = need.With(points.RawSign)
	}
	return need
}

// knownMechanisms refuses a grant for mechanisms that this version doesn't know: nobody could tell what they approve. The fold takes whatever was
// granted.
func knownMechanisms(o request.AppBody) error {
	b, ok := o.(*request.AppGrantBody)
	if !ok {
		return nil
	}
	for _, m := range b.Mechanisms {
		if _, known := ep11.Find(m); !known {
			return problem.New(problem.Malformed, "mechanism 0x%x is not known; 'strongroom app mechanisms' lists those that are", m)
		}
	}
	return nil
}

// appChange is what an operation on applications does.
type appChange struct {
	effect entry.App
	apply  func(seq uint64, by custody.RequestID)
}

// changeApps says what an operation on applications does in the state as it is.
func (s *State) changeApps(o request.AppBody, at Moment) (c appChange, err error) {
	if err := s.on(needsApp(o)); err != nil {
		return c, err
	}
	switch o := o.(type) {
	case *request.AppGrantBody:
		err = s.grantApp(&c, o, at)
	case *request.AppRevokeBody:
		err = s.revokeApp(&c, o)
	case *request.AppKeyRevokeBody:
		err = s.revokeKeys(&c, o)
	default:
		err = fmt.Errorf("body of type %T is not about applications", o)
	}
	return c, err
}

func (s *State) grantApp(c *appChange, o *request.AppGrantBody, at Moment) error {
	who := callerOf(o)
	old := s.apps.grants[who]
	if p, ok := s.Rules.Principal(o.Gateway); !ok || !p.Active || p.Kind != "service" {
		return problem.New(problem.NotFound, "gateway %s is not an active service of this domain", o.Gateway)
	}
	if other, taken := s.apps.names[o.Grant]; taken && other != who {
		return problem.New(problem.Conflict, "grant %q is in force for %s of %s; choose another name", o.Grant, other.caller, other.gateway)
	}
	switch {
	case Expired(o.NotAfter, at.Time, at.Bound):
		return problem.New(problem.Expired, "the end of the grant is past")
	case o.NotAfter*1e9 > at.Time+at.Bound+request.MaxGrant*1e9:
		return problem.New(problem.Malformed, "a grant ends within %d days from now", request.MaxGrant/86400)
	case old == nil && len(s.apps.grants) >= MaxGrants:
		return problem.New(problem.Busy, "%d grants are in force already; revoke some first", MaxGrants)
	}
	c.effect.Grant = o.Grant
	if old != nil {
		c.effect.Ended, c.effect.Used = old.Seq, old.Used
	}
	c.apply = func(seq uint64, by custody.RequestID) {
		g := &Grant{Seq: seq, Body: *o, Request: by}
		if old != nil {
			g.Logins = old.Logins
		}
		s.endGrant(old)
		s.addGrant(g)
	}
	return nil
}

func (s *State) revokeApp(c *appChange, o *request.AppRevokeBody) error {
	g, ok := s.GrantNamed(o.Grant)
	if !ok {
		return problem.New(problem.NotFound, "no grant %q is in force", o.Grant)
	}
	c.effect = entry.App{Grant: o.Grant, Ended: g.Seq, Used: g.Used}
	c.apply = func(uint64, custody.RequestID) { s.endGrant(g) }
	return nil
}

func (s *State) revokeKeys(c *appChange, o *request.AppKeyRevokeBody) error {
	for _, k := range o.Keys {
		if !s.AppKeyRevoked(k) {
			c.effect.Keys = append(c.effect.Keys, k)
		}
	}
	switch {
	case len(c.effect.Keys) == 0:
		return problem.New(problem.Conflict, "these keys are revoked already")
	case len(s.apps.revoked)+len(c.effect.Keys) > MaxRevokedKeys:
		return problem.New(problem.Busy, "%d keys are revoked already; they are forgotten when the working key of their epoch is destroyed: rotate it", len(s.apps.revoked))
	}
	epoch := s.Epoch
	if n := s.life.Next; n != nil {
		epoch = n.Epoch
	}
	keys := c.effect.Keys
	c.apply = func(seq uint64, _ custody.RequestID) {
		for _, k := range keys {
			s.apps.revoked[k] = revokedKey{k, seq, epoch}
		}
	}
	return nil
}

// addGrant takes a grant in.
func (s *State) addGrant(g *Grant) {
	who := callerOf(&g.Body)
	s.apps.grants[who], s.apps.names[g.Body.Grant], s.apps.bySeq[g.Seq] = g, who, g
	s.apps.owners[AppOwner(g.Body.Gateway, g.Body.Caller)] = g
	s.expiry.push(deadline{at: g.Body.NotAfter, seq: g.Seq, grant: true})
}

// endGrant takes one out; nil is none.
func (s *State) endGrant(g *Grant) {
	if g == nil {
		return
	}
	delete(s.apps.grants, callerOf(&g.Body))
	delete(s.apps.names, g.Body.Grant)
	delete(s.apps.bySeq, g.Seq)
	delete(s.apps.owners, AppOwner(g.Body.Gateway, g.Body.Caller))
}

// endGrants ends all: the keys are gone, and a restore must not open them to whoever had them before.
func (s *State) endGrants() {
	clear(s.apps.grants)
	clear(s.apps.names)
	clear(s.apps.bySeq)
	clear(s.apps.owners)
}

// forgetRevoked forgets the revoked keys of epochs before one: nothing opens their blobs any more.
func (s *State) forgetRevoked(before uint64) {
	maps.DeleteFunc(s.apps.revoked, func(_ custody.KeyID, r revokedKey) bool { return r.Epoch < before })
}

func (s *State) applyApp(l entry.Leaf, o request.AppBody, b *entry.Effect) (func(), error) {
	c, err := s.changeApps(o, Moment{l.Time, l.Bound})
	if err != nil {
		return nil, err
	}
	if b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil || !bytes.Equal(canon.Encode(b.App), canon.Encode(&c.effect)) {
		return nil, errors.New("the effect is not what the request does to grants and keys of applications")
	}
	return func() { c.apply(l.Seq, b.Request) }, nil
}

// appImage gives the section, or nil while there is nothing.
func (s *State) appImage() *appSection {
	out := appSection{Grants: s.grantList(), Revoked: slices.SortedFunc(maps.Values(s.apps.revoked), func(a, b revokedKey) int { return cmp.Compare(a.Key, b.Key) })}
	if len(out.Grants)+len(out.Revoked) == 0 {
		return nil
	}
	return &out
}

// restoreApps takes the section of an image.
func (s *State) restoreApps(m *appSection) error {
	if m == nil {
		return nil
	}
	if len(m.Grants)+len(m.Revoked) == 0 {
		return errors.New("the section of applications is there, and empty")
	}
	for i := range m.Grants {
		g := m.Grants[i]
		_, named := s.apps.names[g.Body.Grant]
		if _, has := s.apps.grants[callerOf(&g.Body)]; has || named || i > 0 && m.Grants[i-1].Seq >= g.Seq {
			return errors.New("grants are out of order, or two are of one caller or name")
		}
		s.addGrant(&g)
	}
	for i, r := range m.Revoked {
		if i > 0 && m.Revoked[i-1].Key >= r.Key {
			return errors.New("revoked keys are out of order")
		}
		s.apps.revoked[r.Key] = r
	}
	return nil
}
