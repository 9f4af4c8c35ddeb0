// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/edge/secondopinion"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

// deciding are the flags and arguments of a person's decision.
type deciding struct {
	ID      string `arg:"" optional:"" help:"Request id; the first 8 digits or more are enough for open requests, but with --yes all of it."`
	Offline string `placeholder:"FILE" help:"Decide on what 'strongroom request export' wrote, without a network; --out is then required."`
	Out     string `placeholder:"FILE" help:"Write the signed decision to a file instead of sending it; 'strongroom request import' sends it."`
	Show    bool   `help:"Show what would be signed, and its hash, and sign nothing: to compare with what a browser shows. No key is opened."`
	As      string `placeholder:"PERSON" help:"With --show: who would sign; default the person of the identity."`
	Yes     bool   `short:"y" help:"Do not ask; the request is then named by its whole id."`
	Replay  bool   `help:"Run the rules that are asked for over the log here, and compare with the replay that the request comes with."`
	waiting
}

type (
	requestApprove struct{ deciding }
	requestReject  struct{ deciding }
	requestCancel  struct{ deciding }
)

// Run approves.
func (c *requestApprove) Run(e *env) error { return c.run(e, client.Approve, "Approve this") }

// Run rejects.
func (c *requestReject) Run(e *env) error { return c.run(e, client.Reject, "Reject this, for ever") }

// Run cancels.
func (c *requestCancel) Run(e *env) error { return c.run(e, client.Cancel, "Cancel this, for ever") }

// dossier is what an approver looks at: the request as serve tells of it, and what is needed to read it. Nothing in it is believed that
// does not follow from the canonical bytes, but the paying address and the rules under which the request was accepted, which the core
// compares when the decision comes in.
type dossier struct {
	Request client.RequestView `json:"request"`
	Wallet  *client.Wallet     `json:"wallet,omitempty"` // that pays
	Policy  []byte             `json:"policy,omitempty"` // current rule document, canonical: for a request that changes it, and for the names of destinations
}

func (c *deciding) run(e *env, d client.Decision, question string) error {
	if (c.ID == "") == (c.Offline == "") {
		return usage("give a request id, or --offline FILE")
	}
	if c.Yes && c.ID != "" {
		// serve lists the requests that an abbreviation may mean, and whoever asks for many finds one that begins as they like. Somebody who
		// looks sees the whole id; here nobody does.
		if _, err := client.ParseRequestID(c.ID); err != nil {
			return usage("--yes needs the whole id of the request: %w", err)
		}
	}
	if c.Show && (c.Out != "" || c.Yes) || c.As != "" && !c.Show {
		return usage("--show signs nothing: leave out --out and --yes; --as goes with --show")
	}
	if c.Offline != "" && c.Out == "" && !c.Show {
		return usage("--out is required with --offline: it takes the signed decision")
	}
	var (
		cl  *client.Client
		dos dossier
		err error
	)
	if c.Offline != "" {
		var b []byte
		if b, err = e.readInput(c.Offline); err == nil {
			err = strictjson.Decode(b, &dos)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.Offline, err)
		}
	} else {
		if cl, err = e.client(); err != nil {
			return err
		}
		if dos, err = fetch(e, cl, c.ID); err != nil {
			return err
		}
	}
	if c.Replay && cl == nil {
		return usage("--replay reads the log, and --offline works without a network; give one of them")
	}
	if c.Show {
		return c.show(e, cl, dos, d)
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	rev, err := dos.lookAt(e, k.Person(), d)
	if err != nil {
		return err
	}
	if err := c.replayAgain(e, cl, rev, d); err != nil {
		return err
	}
	if err := e.confirm(c.Yes, fmt.Sprintf("%s as %s?", question, k.Person())); err != nil {
		return err
	}
	a, err := rev.Sign(k, d)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := e.create(c.Out, canon.Encode(a), 0o644); err != nil {
			return err
		}
		e.hint("where there is a network: strongroom request import %s", c.Out)
		return nil
	}
	v, err := decide(e, cl, a)
	if err != nil {
		return err
	}
	if d != client.Approve {
		e.say("The request is %s.", v.State)
		return e.show(v, func() error { return e.pairs(e.requestPairs(v)) })
	}
	return c.follow(e, cl, v)
}

// show says what somebody would sign.
func (c *deciding) show(e *env, cl *client.Client, dos dossier, d client.Decision) error {
	who := custody.PersonID(c.As)
	if c.As == "" {
		id, err := e.who()
		if err != nil {
			return err
		}
		who = id.Person
	}
	if err := who.Check(); err != nil {
		return usage("--as: %w", err)
	}
	rev, err := dos.lookAt(e, who, d)
	if err != nil {
		return err
	}
	return c.replayAgain(e, cl, rev, d)
}

// lookAt decodes a request for somebody who decides on it, has the second decoder look, and shows it.
func (d dossier) lookAt(e *env, who custody.PersonID, decision client.Decision) (client.Review, error) {
	rev, err := d.review(e)
	if err != nil {
		return rev, err
	}
	st := rev.Statement(who, decision)
	if err := d.secondLook(rev, st); err != nil {
		return rev, err
	}
	return rev, d.describe(e, rev, st)
}

// fetch reads a request and what is needed to understand it.
func fetch(e *env, cl *client.Client, name string) (d dossier, err error) {
	id, err := requestID{name}.find(e, cl)
	if err != nil {
		return d, err
	}
	if d.Request, err = cl.Request(e.ctx, id); err != nil {
		return d, err
	}
	if d.Request.ID != id.String() {
		return d, fmt.Errorf("%w: serve gave request %s instead of %s", client.ErrDisagrees, d.Request.ID, id)
	}
	if w := d.Request.Effects.Wallet; w != "" && d.Request.Operation.Signs() {
		x, err := cl.Wallet(e.ctx, w)
		if err != nil {
			return d, err
		}
		d.Wallet = &x
	}
	if d.Request.Operation.Governance() || d.Request.Operation == request.Transfer {
		p, err := cl.Policy(e.ctx)
		// For a transfer it gives destinations their names, which a service that cancels its own does without.
		if err != nil && (client.KindOf(err) != problem.Forbidden || d.Request.Operation != request.Transfer) {
			return d, err
		}
		d.Policy = p.Canonical
	}
	return d, nil
}

// review decodes the canonical request here and compares everything that follows from it.
func (d dossier) review(e *env) (client.Review, error) {
	f, err := e.domain()
	if err != nil {
		return client.Review{}, err
	}
	a, _, err := f.ids()
	if err != nil {
		return client.Review{}, err
	}
	rev, err := client.NewReview(a, d.Request)
	if err != nil {
		return rev, err
	}
	if d.Wallet != nil {
		if err := rev.CheckSource(*d.Wallet); err != nil {
			return rev, err
		}
	}
	return rev, nil
}

// secondLook asks the second decoder.
func (d dossier) secondLook(rev client.Review, st client.Statement) error {
	var w *entry.Wallet
	if d.Wallet != nil {
		x, err := walletEntry(*d.Wallet)
		if err != nil {
			return err
		}
		w = &x
	}
	_, err := secondopinion.Statement(rev.Request.Encode(), st, w)
	return err
}

// walletEntry gives a wallet as the log records it.
func walletEntry(w client.Wallet) (entry.Wallet, error) {
	out := entry.Wallet{ID: w.ID, Chain: w.Chain, Scheme: w.Scheme, Key: w.Seed, Account: w.Account, Public: w.Public, Class: w.Class}
	master, err1 := hex.DecodeString(w.Master)
	parent, err2 := hex.DecodeString(w.Parent)
	if err := errors.Join(err1, err2); err != nil || len(master) != 4 || len(parent) != 4 || len(w.ChainCode) != 32 {
		return out, fmt.Errorf("wallet %s: fingerprints or chain code are malformed", w.ID)
	}
	out.Master, out.Parent, out.ChainCode = [4]byte(master), [4]byte(parent), [32]byte(w.ChainCode)
	return out, nil
}

// describe shows in plain words what will be signed.
func (d dossier) describe(e *env, rev client.Review, st client.Statement) error {
	changes, err := d.changes(rev, st.Decision)
	if err != nil {
		return err
	}
	h := st.Hash()
	say := func(name, value string) { e.say("  %-12s %s", name, value) }
	e.say("What you sign, as decoded on this machine by two decoders that agree:")
	say("request", st.Request.String())
	say("asked by", e.person(st.Initiator))
	for i, l := range words.Body(rev.Body, rev.Effects.Source) {
		if i == 0 {
			say("what", l)
		} else {
			say("", l)
		}
	}
	for _, l := range words.Signing(rev.Effects) {
		say("", l)
	}
	for _, l := range words.Screening(rev.Effects.Screening) {
		say("screening", l+", as the domain says in what you sign")
	}
	for _, l := range append(d.bookLines(rev, st), changes...) {
		say("", "  "+l)
	}
	if stuck(d.Request) && st.Decision == client.Approve {
		say("but", "serve says that it can't take effect as things stand: "+d.Request.Missing.Detail)
	}
	say("until", words.Unix(rev.Bounds.NotAfter))
	say("rules", fmt.Sprintf("version %d, hash %x", st.PolicyVersion, st.PolicyHash[:8]))
	say("domain", st.Domain.String())
	say("your word", fmt.Sprintf("%s, as %s", st.Decision, e.person(st.Approver)))
	say("hash", words.Groups(h[:]))
	d.beside(e, rev)
	return nil
}

// beside shows what is no part of what is signed: what serve's node says that it would change.
func (d dossier) beside(e *env, rev client.Review) {
	lines := words.Simulated(d.Request.Simulation)
	if len(lines) == 0 && rev.Effects.Calls != nil {
		lines = []string{"nobody says what it would change in balances: there is no simulation"}
	}
	if len(lines) == 0 {
		return
	}
	e.say("Not signed, and checked by neither decoder:")
	for i, l := range lines {
		e.say("  %-12s %s", map[bool]string{true: "simulation"}[i == 0], l)
	}
}

// changes says what a request for new rules changes. Rules that were proposed before the current ones can't take effect any more: they are
// not approved, but can still be rejected and cancelled. That nothing else follows the current document is serve's lie, or somebody's.
func (d dossier) changes(rev client.Review, decision client.Decision) ([]string, error) {
	change, ok := rev.Body.(*client.PolicyChange)
	if !ok {
		return nil, nil
	}
	next, err := policy.DecodeDocument(change.Document)
	if err != nil {
		return nil, fmt.Errorf("the new rule document: %w", err)
	}
	if len(d.Policy) == 0 {
		return nil, errors.New("the file has no current rule document to compare with; export the request again")
	}
	now, err := policy.DecodeDocument(d.Policy)
	if err != nil {
		return nil, fmt.Errorf("the current rule document: %w", err)
	}
	if next.Version <= now.Version {
		stale := fmt.Errorf("the request is out of date: it proposes version %d of the rules, and version %d is current already", next.Version, now.Version)
		if decision == client.Approve {
			return nil, &hinted{err: stale, code: exitConflict, hint: fmt.Sprintf("it can't take effect any more; who asked ends it with 'strongroom request cancel %s' and proposes again", rev.Request.ID())}
		}
		return []string{stale.Error()}, nil
	}
	if next.PrevHash != now.Hash() {
		return nil, fmt.Errorf("%w: the new rules do not follow the ones that serve calls current", client.ErrDisagrees)
	}
	lines := policy.Diff(now, next)
	for i, l := range lines {
		lines[i] = strings.ReplaceAll(l, "\n", " ")
	}
	return lines, nil
}

type requestExport struct {
	requestID
	Out string `required:"" placeholder:"FILE" help:"File for the approver; - is standard output."`
}

// Run writes it.
func (c *requestExport) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	d, err := fetch(e, cl, c.ID)
	if err != nil {
		return err
	}
	b, err := encodeJSON(d)
	if err != nil {
		return err
	}
	if err := e.create(c.Out, b, 0o644); err != nil {
		return err
	}
	e.hint("the approver runs: strongroom request approve --offline %s --key THEIR.key --domain domain.json --out approval.cbor", c.Out)
	return nil
}
