// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

func (s *Server) description(c *call) error { return c.raw(s.openapi) }

func (s *Server) status(c *call) error {
	st, err := coreStatus(c.ctx(), s.cfg.Core)
	if err != nil {
		return err
	}
	folded, err := s.cfg.Index.Folded(c.ctx())
	if err != nil {
		return err
	}
	out := apiv1.Status{Profile: st.Profile, Authority: st.Authority.String(), Domain: st.Domain.String(), Origin: st.Origin, LogKey: st.LogKey,
		Identity: st.Identity, Size: st.Size, Pinned: st.Pinned, Writer: st.Writer, Root: st.Root, Anchor: st.Anchor, MemoryLocked: st.MemoryLocked,
		Notes: append([]string{}, st.Notes...), KeysUnlocked: st.KeysUnlocked, Wallets: st.Wallets, Pending: st.Pending, Signed: st.Signed,
		Sessions: st.Sessions, WarmWallets: st.WarmWallets, WarmSessions: st.WarmSessions, Grants: st.Grants, RevokedKeys: st.RevokedKeys, Uses: st.Uses, ReadyPairs: st.ReadyPairs, MissingKeys: st.MissingKeys, Policy: st.Policy, PolicyHash: apiv1.Hex(st.PolicyHash[:]), Time: apiv1.Time(st.Time), Bound: st.Bound,
		TimeCertain: st.TimeCertain, Clock: st.Clock, TimeSources: append([]string{}, st.TimeSources...), Failed: st.Failed, Check: checkView(st.Check), Appends: st.Log.Appends, Batches: st.Log.Batches,
		Pins: st.Log.Pins, Cache: apiv1.Cache{Entries: folded, Behind: st.Pinned - min(folded, st.Pinned)},
		Chains: append([]apiv1.Chain{}, s.cfg.Chains.Status(c.ctx())...), Life: lifeView(st.Life), Incarnation: max(st.Incarnation, 1), Held: st.Held, Checkpoint: st.Checkpoint}
	out.Mode, out.OnHold, out.Degraded = modeView(st.Mode), st.OnHold, degraded(st, out.Chains)
	out.NoPrices, out.PriceAge = st.NoPrices, st.PriceAge
	if st.Screening != nil {
		out.Screening = screeningViews(st.Screening.Sources)
	}
	if r := st.Reanchoring; r != nil {
		out.Reanchoring = &apiv1.Reanchoring{Entry: r.Entry, Until: apiv1.Time(r.Until), From: r.From, To: r.To, Whole: r.Whole, Cancelled: r.Cancelled}
	}
	if st.GapAt > 0 {
		out.GapAt = apiv1.Time(st.GapAt)
	}
	return c.reply(out)
}

func lifeView(l message.Life) apiv1.Life {
	out := apiv1.Life{Phase: l.Phase, Counter: l.Counter, Allowed: known(l.Allowed), Frozen: known(l.Frozen), Epoch: l.Epoch, Pattern: l.Pattern, NextEpoch: l.NextEpoch,
		Doomed: l.Doomed, Fault: l.Fault, Since: l.Since, Administrators: append([]custody.PersonID{}, l.Administrators...)}
	if r := l.Next; r != nil {
		out.Next = &apiv1.Register{Epoch: r.Epoch, Pattern: r.Pattern, Committed: r.Committed, Lacking: r.Lacking, Keys: r.Keys, NewShares: r.NewShares}
	}
	if r := l.Previous; r != nil {
		out.Previous = &apiv1.Register{Epoch: r.Epoch, Pattern: r.Pattern}
	}
	if r := l.Recovery; r != nil {
		out.Recovery = &apiv1.RecoveryView{Threshold: r.Threshold, Shares: r.Shares, Hash: r.Hash[:]}
	}
	return out
}

// known leaves out control points that this version has no name for: a newer core may have them.
func known(s points.Set) points.Set { return s.And(points.Known()) }

// signedStatus hands on the core's signed status; nobody here could change it.
func (s *Server) signedStatus(c *call) error {
	nonce, err := hex.DecodeString(c.r.URL.Query().Get("nonce"))
	if err != nil {
		return problem.New(problem.Malformed, "nonce must be 32 to 64 hex digits of your own choice, new each time")
	}
	st, err := ask[message.SignedStatus](c.ctx(), s.cfg.Core, message.MethodStatusSigned, message.StatusAsk{Nonce: nonce})
	if err != nil {
		return err
	}
	return c.reply(apiv1.SignedStatus{Statement: st.Statement, Signature: st.Sig})
}

func checkView(c message.Check) apiv1.Check {
	return apiv1.Check{Running: c.Running, Checked: c.Checked, Total: c.Total, Done: c.Done, Fault: c.Fault}
}

func (s *Server) chains(c *call) error {
	return c.reply(apiv1.ChainList{Chains: append([]apiv1.Chain{}, s.cfg.Chains.Status(c.ctx())...)})
}

func walletView(w message.Wallet) apiv1.Wallet {
	e := w.Wallet
	v := apiv1.Wallet{ID: e.ID, Chain: e.Chain, Scheme: e.Scheme, Seed: e.Key, Account: e.Account, Public: e.Public, ChainCode: e.ChainCode[:],
		Master: apiv1.Hex(e.Master[:]), Parent: apiv1.Hex(e.Parent[:]), NextReceive: w.NextReceive, NextChange: w.NextChange, Address: w.Address,
		Temperature: cmp.Or(w.Temperature, request.Hot), Class: e.Class}
	if a := w.Away; a != nil {
		v.Away = &apiv1.Away{Domain: a.Domain.String(), Name: a.Name, Way: a.Way, Move: a.Move}
	}
	for _, x := range w.Sessions {
		v.WarmSessions = append(v.WarmSessions, apiv1.WarmSession{Asset: x.Asset, Amount: x.Amount, Remaining: x.Remaining, NotAfter: x.NotAfter, Entry: x.Seq, Open: !x.Ended})
	}
	return v
}

func (s *Server) listWallets(c *call) error {
	limit, err := c.number("limit", 100, 1, 500)
	if err != nil {
		return err
	}
	from, err := c.after(listWallets)
	if err != nil {
		return err
	}
	m, err := ask[message.Wallets](c.ctx(), s.cfg.Core, message.MethodWallets, message.List{From: from, Limit: limit})
	if err != nil {
		return err
	}
	out := apiv1.WalletList{Wallets: []apiv1.Wallet{}, Total: m.Total}
	for _, w := range m.Wallets {
		out.Wallets = append(out.Wallets, walletView(w))
	}
	if next := from + uint64(len(m.Wallets)); len(m.Wallets) > 0 && next < m.Total {
		out.Next = cursor(listWallets, next)
	}
	return c.reply(out)
}

func (s *Server) listAppGrants(c *call) error {
	limit, err := c.number("limit", 100, 1, 500)
	if err != nil {
		return err
	}
	from, err := c.after(listAppGrants)
	if err != nil {
		return err
	}
	m, err := ask[message.Apps](c.ctx(), s.cfg.Core, message.MethodApps, message.List{From: from, Limit: limit})
	if err != nil {
		return err
	}
	out := apiv1.AppGrantList{Grants: []apiv1.AppGrant{}, Total: m.Total, Revoked: m.Revoked}
	for _, g := range m.Grants {
		out.Grants = append(out.Grants, apiv1.AppGrant{Grant: g.Grant, Entry: g.Seq, Request: g.Request.String(), Used: g.Used, Logins: g.Logins, Open: !g.Ended})
	}
	if next := from + uint64(len(m.Grants)); len(m.Grants) > 0 && next < m.Total {
		out.Next = cursor(listAppGrants, next)
	}
	return c.reply(out)
}

// walletID reads the {id} of the path as a wallet's.
func (c *call) walletID() (custody.WalletID, error) {
	id := custody.WalletID(c.id)
	if err := id.Check(); err != nil {
		return id, problem.New(problem.Malformed, "%v", err)
	}
	return id, nil
}

func (s *Server) getWallet(c *call) error {
	id, err := c.walletID()
	if err != nil {
		return err
	}
	w, err := ask[message.Wallet](c.ctx(), s.cfg.Core, message.MethodWallet, message.WalletID{ID: id})
	if err != nil {
		return err
	}
	return c.reply(walletView(w))
}

func (s *Server) listAddresses(c *call) error {
	id, err := c.walletID()
	if err != nil {
		return err
	}
	branch, err := c.number("branch", 0, 0, 1)
	if err != nil {
		return err
	}
	limit, err := c.number("limit", 100, 1, 1000)
	if err != nil {
		return err
	}
	from, err := c.after(listAddresses)
	if err != nil {
		return err
	}
	if from >= 1<<31 {
		return problem.New(problem.Malformed, "query parameter cursor is not one that this list gave")
	}
	m, err := ask[message.AddressList](c.ctx(), s.cfg.Core, message.MethodAddresses,
		message.Addresses{Wallet: id, Branch: uint32(branch), From: uint32(from), Count: uint32(limit)})
	if err != nil {
		return err
	}
	out := apiv1.AddressList{Addresses: []apiv1.Address{}}
	for _, a := range m.Addresses {
		out.Addresses = append(out.Addresses, apiv1.Address{Branch: uint32(branch), Index: a.Index, Address: a.Address, Nonce: a.Nonce})
	}
	if uint64(len(m.Addresses)) == limit {
		out.Next = cursor(listAddresses, from+limit)
	}
	return c.reply(out)
}

func (s *Server) listBalances(c *call) error {
	id, err := c.walletID()
	if err != nil {
		return err
	}
	b, err := s.cfg.Chains.Balances(c.ctx(), id)
	if err != nil {
		return err
	}
	return c.reply(apiv1.BalanceList{Balances: append([]apiv1.Balance{}, b...)})
}

// document reads the current rule document from the core.
func (s *Server) document(c *call) (policy.Document, message.Policy, error) {
	m, err := ask[message.Policy](c.ctx(), s.cfg.Core, message.MethodPolicy, message.Empty{})
	if err != nil {
		return policy.Document{}, m, err
	}
	d, err := policy.DecodeDocument(m.Document)
	if err != nil {
		return d, m, problem.Wrap(problem.Internal, err, "the core's rule document can't be read")
	}
	return d, m, nil
}

func (s *Server) getPolicy(c *call) error {
	d, m, err := s.document(c)
	if err != nil {
		return err
	}
	return c.reply(apiv1.PolicyView{Hash: apiv1.Hex(m.Hash[:]), Canonical: m.Document, Document: apiv1.DocumentOf(d)})
}

func (s *Server) listPersons(c *call) error {
	d, _, err := s.document(c)
	if err != nil {
		return err
	}
	return c.reply(apiv1.PersonList{Persons: apiv1.DocumentOf(d).Principals})
}

func (s *Server) listGroups(c *call) error {
	d, _, err := s.document(c)
	if err != nil {
		return err
	}
	return c.reply(apiv1.GroupList{Groups: apiv1.DocumentOf(d).Groups})
}

func (s *Server) openSession(c *call) error {
	var in apiv1.SessionIn
	if err := c.read(&in); err != nil {
		return err
	}
	g, err := ask[request.SessionGrant](c.ctx(), s.cfg.Core, message.MethodSession, message.OpenSession{Opening: in.Opening, Key: in.Key, Sig: in.Signature})
	if err != nil {
		return err
	}
	return c.reply(apiv1.SessionView{Session: apiv1.Hex(g.Session), Ephemeral: g.Ephemeral, Seq: g.Seq, Signature: g.Sig})
}

// certify is POST /v1/persons/{id}/certificates. The person's approval key must have signed for exactly this certificate
// request, so that nobody is given a certificate in another's name.
func (s *Server) certify(c *call) error {
	who := custody.PersonID(c.id)
	if err := who.Check(); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	if c.service && who != c.by {
		return problem.New(problem.Forbidden, "services get certificates for themselves only")
	}
	var in apiv1.CertificateIn
	if err := c.read(&in); err != nil {
		return err
	}
	now := s.cfg.Now().Unix()
	if in.NotAfter < now {
		return at("/notAfter", problem.New(problem.Expired, "the statement's notAfter is past; sign another one"))
	}
	if in.NotAfter > now+apiv1.CertificateWindow {
		return at("/notAfter", problem.New(problem.Malformed, "notAfter is more than %d seconds ahead", apiv1.CertificateWindow))
	}
	st, err := coreStatus(c.ctx(), s.cfg.Core)
	if err != nil {
		return err
	}
	s.people.Forget()
	p, err := s.people.Person(c.ctx(), who)
	if err != nil {
		return err
	}
	m := apiv1.CertificateStatement{V: 1, Authority: st.Authority, Domain: st.Domain, Person: who, Request: sha256.Sum256(in.CSR), NotAfter: in.NotAfter}.Message()
	signed := false
	for _, k := range p.Keys {
		signed = signed || k.Ref() == in.Key && k.Verify(m, in.Signature)
	}
	if !signed {
		return problem.New(problem.Unauthenticated, "the certificate statement is not signed by an approval key of %s", who)
	}
	cert, ca, err := s.cfg.Issuer.Issue(in.CSR, who)
	if err != nil {
		return err
	}
	return c.reply(apiv1.CertificateView{Certificate: cert, Authority: ca})
}

func (s *Server) check(start bool) func(*call) error {
	return func(c *call) error {
		m, err := ask[message.Check](c.ctx(), s.cfg.Core, message.MethodCheck, message.CheckStart{Start: start})
		if err != nil {
			return err
		}
		return c.reply(checkView(m))
	}
}

// entries is GET /v1/audit/entries: the log in clear, from an entry on, waiting for one if there is none yet.
func (s *Server) entries(c *call) error {
	from, err := c.number("from", 0, 0, 1<<62)
	if err != nil {
		return err
	}
	limit, err := c.number("limit", 100, 1, 1000)
	if err != nil {
		return err
	}
	wait, err := c.number("wait", 0, 0, MaxWait)
	if err != nil {
		return err
	}
	m, err := ask[message.Entries](c.ctx(), s.cfg.Core, message.MethodFeed, message.Feed{From: from, Limit: limit})
	if err == nil && len(m.Entries) == 0 && wait > 0 {
		m, err = s.await(c, message.Feed{From: from, Limit: limit, Wait: wait * 1000})
	}
	if err != nil {
		return err
	}
	out := apiv1.EntryList{Entries: []apiv1.Entry{}, Pinned: m.Pinned, Next: from + uint64(len(m.Entries))}
	for _, e := range m.Entries {
		l, err := entry.DecodeLeaf(e.Leaf)
		if err != nil {
			return problem.Wrap(problem.Internal, err, "an entry of the core can't be read")
		}
		h := entry.Hash(e.Leaf)
		x := apiv1.Entry{Seq: l.Seq, Kind: string(l.Kind), Time: apiv1.Time(l.Time), Leaf: e.Leaf, Hash: apiv1.Hex(h[:]), Bodies: []apiv1.Body{}}
		for _, b := range e.Bodies {
			x.Bodies = append(x.Bodies, apiv1.Body(b))
		}
		out.Entries = append(out.Entries, x)
	}
	return c.reply(out)
}

// await asks for entries that are not there yet. The caller's place is kept until the core has answered, also when the caller hangs up:
// else who asks and hangs up again and again would hold any number of the core's waits.
func (s *Server) await(c *call, in message.Feed) (message.Entries, error) {
	if !s.polls.take(c.by, 1) {
		return message.Entries{}, problem.New(problem.Busy, "too many calls wait for entries; a caller may have %d", s.polls.each)
	}
	defer s.polls.give(c.by, 1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx()), time.Duration(in.Wait)*time.Millisecond+pollGrace)
	defer cancel()
	return ask[message.Entries](ctx, s.cfg.Core, message.MethodFeed, in)
}

// tile serves the log's tile folder; its layout is C2SP tlog-tiles.
func (s *Server) tile(c *call) error {
	name := strings.TrimPrefix(c.r.URL.Path, "/")
	if !fs.ValidPath(name) {
		return problem.New(problem.NotFound, "no such tile")
	}
	b, err := fs.ReadFile(s.cfg.Tiles, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid):
		return problem.New(problem.NotFound, "no such tile; the checkpoint says how far the log goes")
	case err != nil:
		return err
	}
	if c.op.id == "getTile" && !strings.Contains(name, ".p/") {
		c.w.Header().Set("Cache-Control", "private, max-age=604800, immutable") // a full tile never changes
	}
	return c.raw(b)
}
