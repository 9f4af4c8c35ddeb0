// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"math"
	"slices"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// modelGrant is a grant as the model keeps it: every use is written down, and how many there are is counted anew each time.
type modelGrant struct {
	seq      uint64
	by       custody.RequestID
	body     request.AppGrantBody
	uses     []entry.UseCount
	sessions [][32]byte
}

func (m model) cloneApps() (out []modelGrant) {
	for _, g := range m.grants {
		g.uses, g.sessions = slices.Clone(g.uses), slices.Clone(g.sessions)
		out = append(out, g)
	}
	return out
}

func (g modelGrant) used() (n uint64) {
	for _, u := range g.uses {
		n += u.Count
	}
	return n
}

func (m model) appImage() *appSection {
	out := appSection{Revoked: slices.Clone(m.revoked)}
	for _, g := range m.grants {
		out.Grants = append(out.Grants, Grant{Seq: g.seq, Body: g.body, Used: g.used(), Request: g.by, Logins: g.sessions})
	}
	slices.SortFunc(out.Revoked, func(a, b revokedKey) int { return cmp.Compare(a.Key, b.Key) })
	if len(out.Grants)+len(out.Revoked) == 0 {
		return nil
	}
	return &out
}

func (m *model) grantBy(is func(modelGrant) bool) *modelGrant {
	if i := slices.IndexFunc(m.grants, is); i >= 0 {
		return &m.grants[i]
	}
	return nil
}

func (m *model) endGrants(over func(modelGrant) bool) { m.grants = slices.DeleteFunc(m.grants, over) }

func (m *model) service(id custody.PersonID) bool {
	return slices.ContainsFunc(m.doc.Principals, func(p policy.Principal) bool { return p.ID == id && p.Active && p.Kind == policy.Service })
}

func (m *model) appEffect(l entry.Leaf, at Moment, o request.AppBody, b *entry.Effect) error {
	if b.Life != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Document != nil || b.Warm != nil || b.App == nil {
		return errModel
	}
	var want entry.App
	switch o := o.(type) {
	case *request.AppGrantBody:
		need := []points.Point{points.AppKeys}
		for p, asks := range map[points.Point]bool{points.AppImport: o.Import, points.AppCompat: o.Compat, points.RawSign: slices.Contains(o.Functions, request.AppSign)} {
			if asks {
				need = append(need, p)
			}
		}
		same := func(g modelGrant) bool { return g.body.Caller == o.Caller && g.body.Gateway == o.Gateway }
		other := m.grantBy(func(g modelGrant) bool { return g.body.Grant == o.Grant && !same(g) })
		if err := ensure(m.mayUse(need...), m.service(o.Gateway), other == nil, at.Time+at.Bound <= o.NotAfter*1e9, o.NotAfter*1e9 <= at.Time+at.Bound+400*24*3600*1e9); err != nil {
			return err
		}
		want.Grant = o.Grant
		next := modelGrant{seq: l.Seq, by: b.Request, body: *o}
		if old := m.grantBy(same); old != nil {
			want.Ended, want.Used, next.sessions = old.seq, old.used(), old.sessions
		}
		m.endGrants(same)
		m.grants = append(m.grants, next)
	case *request.AppRevokeBody:
		named := func(g modelGrant) bool { return g.body.Grant == o.Grant }
		old := m.grantBy(named)
		if old == nil {
			return errModel
		}
		want = entry.App{Grant: o.Grant, Ended: old.seq, Used: old.used()}
		m.endGrants(named)
	case *request.AppKeyRevokeBody:
		epoch := m.head.Epoch
		if n := m.life.next; n != nil {
			epoch = n.epoch
		}
		for _, k := range o.Keys {
			if !m.isRevoked(k) {
				want.Keys = append(want.Keys, k)
				m.revoked = append(m.revoked, revokedKey{k, l.Seq, epoch})
			}
		}
		if len(want.Keys) == 0 {
			return errModel
		}
	}
	return ensure(bytes.Equal(canon.Encode(want), canon.Encode(b.App)))
}

func (m *model) isRevoked(k custody.KeyID) bool {
	return slices.ContainsFunc(m.revoked, func(r revokedKey) bool { return r.Key == k })
}

// forgetKeys forgets what was revoked before an epoch.
func (m *model) forgetKeys(before uint64) {
	m.revoked = slices.DeleteFunc(m.revoked, func(r revokedKey) bool { return r.Epoch < before })
}

func (m *model) inForce(g *modelGrant, at Moment) bool {
	return g != nil && at.Time+at.Bound <= g.body.NotAfter*1e9 && m.service(g.body.Gateway)
}

func (m *model) uses(at Moment, b *entry.Uses) error {
	bySeq := func(seq uint64) *modelGrant { return m.grantBy(func(g modelGrant) bool { return g.seq == seq }) }
	total := uint64(0)
	seen := map[string]bool{}
	last := ""
	for _, c := range b.Counts {
		order := fmt.Sprintf("%020d %x %020d", c.Grant, c.Key, c.Mechanism)
		g, key := bySeq(c.Grant), custody.KeyID(hex.EncodeToString(c.Key[:]))
		if seen[order] || order < last || c.Count == 0 || c.Count > 16384 || !m.inForce(g, at) || m.isRevoked(key) {
			return errModel
		}
		named := len(g.body.Keys) == 0 || slices.Contains(g.body.Keys, key)
		if !named || c.Mechanism != math.MaxUint64 && !slices.Contains(g.body.Mechanisms, c.Mechanism) {
			return errModel
		}
		g.uses = append(g.uses, c)
		if g.body.MaxUses > 0 && g.used() > g.body.MaxUses {
			return errModel
		}
		total += c.Count
		seen[order], last = true, order
	}
	if total != b.Number || total > 16384 || total == 0 && len(b.Logins)+len(b.Logouts) == 0 {
		return errModel
	}
	for i, x := range b.Logins {
		g := bySeq(x.Grant)
		if !m.inForce(g, at) || i > 0 && b.Logins[i-1].Grant >= x.Grant || slices.Contains(b.Logouts, x.Grant) || slices.Contains(g.sessions, x.Session) || len(g.sessions) >= 64 {
			return errModel
		}
		g.sessions = append(g.sessions, x.Session)
	}
	for i, seq := range b.Logouts {
		g := bySeq(seq)
		if g == nil || len(g.sessions) == 0 || i > 0 && b.Logouts[i-1] >= seq {
			return errModel
		}
		g.sessions = nil
	}
	return nil
}

var appMechanisms = []uint64{0, 0x1041, 0x1087, 0x80010007}

func appKey(n int) [16]byte { return [16]byte{15: byte(n)} }

// grantBody draws a grant.
func (d *driver) grantBody(t *rapid.T) request.AppGrantBody {
	n := rapid.IntRange(0, 3).Draw(t, "app")
	b := request.AppGrantBody{Grant: fmt.Sprintf("app-%d", n), Caller: request.AppCaller(fmt.Sprintf("local:app-%d", n)), Gateway: who("service").id, Functions: []request.AppFunction{request.AppEncrypt, request.AppSign},
		Mechanisms: appMechanisms[:rapid.IntRange(1, len(appMechanisms)).Draw(t, "mechanisms")], Rate: 10, Burst: 20, MaxUses: rapid.SampledFrom([]uint64{0, 1, 5, 30}).Draw(t, "max uses"),
		NotAfter: d.now/1e9 + rapid.SampledFrom([]int64{-1, 1, 60, 3600, 48 * 3600, 400 * 24 * 3600, 400*24*3600 + 61}).Draw(t, "grant end"), Import: seldom(t, "import"), Compat: seldom(t, "compat")}
	if rapid.Bool().Draw(t, "named keys") {
		for i := range rapid.IntRange(1, 3).Draw(t, "keys") {
			b.Keys = append(b.Keys, entry.KeyOf(appKey(i)))
		}
	}
	switch {
	case seldom(t, "another's name"):
		b.Grant = "app-0"
	case seldom(t, "a person as gateway"):
		b.Gateway = who("dave").id
	}
	return b
}

// appRequest draws an operation on applications.
func (d *driver) appRequest(t *rapid.T) (request.Operation, any) {
	switch rapid.IntRange(0, 3).Draw(t, "app operation") {
	case 0:
		if g := d.s.Grants(0, 10); len(g) > 0 && !seldom(t, "revoke any") {
			return request.AppRevoke, request.AppRevokeBody{Grant: rapid.SampledFrom(g).Draw(t, "revoked grant").Body.Grant}
		}
		return request.AppRevoke, request.AppRevokeBody{Grant: fmt.Sprintf("app-%d", rapid.IntRange(0, 3).Draw(t, "revoked app"))}
	case 1:
		first := rapid.IntRange(0, 3).Draw(t, "revoked key")
		return request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{entry.KeyOf(appKey(first)), entry.KeyOf(appKey(first + 3))}}
	default:
		return request.AppGrant, d.grantBody(t)
	}
}

// newUses draws uses, mostly of grants that there are.
func (d *driver) newUses(t *rapid.T) any {
	grants := d.s.Grants(0, 10)
	if len(grants) == 0 {
		return nil
	}
	var records []entry.UseRecord
	for i := range rapid.IntRange(0, 6).Draw(t, "uses") {
		g := rapid.SampledFrom(grants).Draw(t, "grant of the use")
		r := entry.UseRecord{Grant: g.Seq, Key: appKey(rapid.IntRange(0, 2).Draw(t, "key used")), Function: 26, Mechanism: rapid.SampledFrom(g.Body.Mechanisms).Draw(t, "mechanism"), Call: [32]byte{byte(i)}}
		switch {
		case seldom(t, "without mechanism"):
			r.Mechanism = entry.NoMechanism
		case seldom(t, "another mechanism"):
			r.Mechanism = 0x1085
		case seldom(t, "another grant"):
			r.Grant++
		case seldom(t, "another key"):
			r.Key = appKey(9)
		}
		records = append(records, r)
	}
	u := entry.Account(records)
	if g := rapid.SampledFrom(grants).Draw(t, "grant of the session"); rapid.Bool().Draw(t, "login") {
		u.Logins = []entry.Login{{Grant: g.Seq, Session: [32]byte{byte(rapid.IntRange(0, 3).Draw(t, "login session"))}}}
	} else if rapid.Bool().Draw(t, "logout") {
		u.Logouts = []uint64{g.Seq}
	}
	switch {
	case seldom(t, "wrong sum"):
		u.Number++
	case seldom(t, "wrong order") && len(u.Counts) > 1:
		slices.Reverse(u.Counts)
	case seldom(t, "a count of nothing") && len(u.Counts) > 0:
		u.Counts[0].Count, u.Number = 0, u.Number-u.Counts[0].Count
	}
	return &u
}

// appPoints are the control points that grants take.
var appPoints = points.Make(points.AppKeys, points.AppImport, points.RawSign, points.AppCompat)

// appStory is grants and uses of them, and perhaps their end.
func (d *driver) appStory(t *rapid.T) {
	if len(d.s.apps.grants) == 0 || rapid.IntRange(0, 2).Draw(t, "another grant") == 0 {
		d.through(t, request.AppGrant, d.grantBody(t))
	}
	for range rapid.IntRange(0, 4).Draw(t, "entries of uses") {
		if body := d.newUses(t); body != nil {
			d.submit(t, body)
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "end") == 0 {
		op, body := d.appRequest(t)
		d.through(t, op, body)
	}
}
