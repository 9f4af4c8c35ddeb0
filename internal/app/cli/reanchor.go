// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// reanchorCmd goes on with a log that lost entries, or whose anchor is gone. docs/runbooks/re-anchor.md.
type reanchorCmd struct {
	Prepare reanchorPrepare `cmd:"" help:"On a domain that is stopped: look what is left of the log and what anybody knows of it, and write the document that people of the recovery plan sign."`
	Sign    reanchorSign    `cmd:"" help:"Sign a re-anchor document as one of the recovery plan."`
	Apply   reanchorApply   `cmd:"" help:"On a domain that is stopped: go on from what is left, as the people of the recovery plan signed."`
	Status  reanchorStatus  `cmd:"" help:"Where a re-anchoring stands: until when nothing is done, what is lost, how many wallets are held. With a file: what that document says."`
	Cancel  reanchorCancel  `cmd:"" help:"Ask to cancel a re-anchoring while its time-lock runs; the revocation plan approves."`
}

// reanchorName is the re-anchor document in the data folder of a domain.
const reanchorName = "reanchor.cbor"

// reanchorCore are the flags of what runs the core of a stopped domain.
type reanchorCore struct {
	coreFlags
	carryFlags
	TimeSources string   `name:"time-sources" placeholder:"FILE" help:"Authenticated sources of the core's time, with --relay-ntp and --relay-nts; production needs them."`
	Checkpoint  []string `sep:"none" placeholder:"FILE" help:"A signed checkpoint of the log that somebody kept, for instance of a log witness that is gone. May be given more than once."`
}

// run runs a command of the core, which asks log witnesses and time servers through us.
func (c *reanchorCore) run(e *env, command string, more ...string) (r reanchorReport, err error) {
	if err := c.coreFlags.check(); err != nil {
		return r, err
	}
	relay, err := c.carryFlags.relay()
	if err != nil {
		return r, err
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return r, err
	}
	defer pass.Wipe()
	for _, f := range c.Checkpoint {
		more = append(more, "--checkpoint", f)
	}
	if c.TimeSources != "" {
		more = append(more, "--time-sources", c.TimeSources)
	}
	out, err := e.runCoreCarrying(pass, relay, c.args(command, more...))
	if err != nil {
		return r, hint(err, "docs/runbooks/re-anchor.md says what each answer means")
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("%s %s: %w", coreProgram, command, err)
	}
	for _, f := range r.Found {
		e.say("found: %s.", f)
	}
	return r, nil
}

// reanchorReport is what strongroom-core says.
type reanchorReport struct {
	Domain      custody.DomainID `json:"domain"`
	Profile     custody.Profile  `json:"profile"`
	LogKey      custody.HexBytes `json:"logKey"`
	Identity    custody.HexBytes `json:"identityKey"`
	Origin      string           `json:"origin"`
	VKey        string           `json:"logVkey"`
	Entries     uint64           `json:"entries"`
	Known       uint64           `json:"known"`
	Incarnation uint64           `json:"incarnation"`
	Whole       bool             `json:"whole"`
	Found       []string         `json:"found"`
	Entry       uint64           `json:"entry,omitempty"`
	Delay       int64            `json:"delay"`
}

func (r reanchorReport) pairs() []pair {
	return []pair{{"domain", r.Domain.String()}, {"entries left", strconv.FormatUint(r.Entries, 10)}, {"known", fmt.Sprintf("%d entries", r.Known)}, {"loss", words.Lost(r.Entries, r.Known, r.Whole)},
		{"incarnation", strconv.FormatUint(r.Incarnation, 10)}, {"log vkey", r.VKey}}
}

type reanchorPrepare struct {
	reanchorCore
	Reason  string   `required:"" placeholder:"TEXT" help:"Why, for the people who sign and for whoever reads a proof later; up to 200 bytes."`
	Witness []string `sep:"none" placeholder:"NAME=VKEY" help:"A log witness from now on; all of them must be named. Default: those that the domain has. May be given more than once."`
	Quorum  int      `placeholder:"N" help:"How many of those log witnesses must cosign; default: more than half of them."`
	Out     string   `placeholder:"FILE" help:"Where the document goes; default: reanchor.cbor in the data folder."`
}

// Run prepares.
func (c *reanchorPrepare) Run(e *env) error {
	if c.Out == "" {
		c.Out = filepath.Join(c.Data, reanchorName)
	}
	args := []string{"--reason", c.Reason, "--out", c.Out, "--quorum", strconv.Itoa(c.Quorum)}
	for _, w := range c.Witness {
		args = append(args, "--witness", w)
	}
	e.say("Reading all of the log…")
	r, err := c.run(e, "re-anchor-prepare", args...)
	if err != nil {
		return err
	}
	e.say("The document is %s. Nothing of the domain was changed.", c.Out)
	e.hint("people of the recovery plan run: strongroom domain re-anchor sign %s --key THEIR.key; then: strongroom domain re-anchor apply --data %s%s", c.Out, c.Data, c.again())
	return e.show(r, func() error { return e.pairs(r.pairs()) })
}

type reanchorSign struct {
	File string `arg:"" help:"The document."`
	Yes  bool   `short:"y" help:"Do not ask."`
}

func readReanchor(path string) (b entry.Reanchor, err error) {
	err = readCanonical(path, "re-anchor document", &b)
	return b, err
}

// Run shows the document, asks, and puts a signature into it.
func (c *reanchorSign) Run(e *env) error {
	k, err := e.signer()
	if err != nil {
		return err
	}
	b, err := readReanchor(c.File)
	if err != nil {
		return err
	}
	if d, err := e.domain(); err == nil && d.Domain != b.Domain.String() {
		return hint(fmt.Errorf("the document is of the domain %s; your identity is for %s", b.Domain, d.Domain), "%s", otherDomain)
	}
	if !c.Yes {
		for _, l := range words.Reanchor(b) {
			e.say("  %s", l)
		}
	}
	if err := e.confirm(c.Yes, fmt.Sprintf("Sign this as %s?", k.Person())); err != nil {
		return &hinted{err: fmt.Errorf("not confirmed: %s did not sign", k.Person()), hint: hintFor(err, "")}
	}
	if err := signReanchor(&b, k); err != nil {
		return err
	}
	if err := replace(c.File, canon.Encode(b), 0o600); err != nil {
		return err
	}
	e.say("%s signed; %d signatures are there.", k.Person(), len(b.Signatures))
	return nil
}

func signReanchor(b *entry.Reanchor, k *keyfile.Key) error {
	sig, err := k.Sign(b.Message())
	if err != nil {
		return err
	}
	b.Signatures = slices.DeleteFunc(b.Signatures, func(s entry.GenesisSignature) bool { return s.Person == k.Person() })
	b.Signatures = append(b.Signatures, entry.GenesisSignature{Person: k.Person(), Key: k.Public().Ref(), Sig: sig})
	slices.SortFunc(b.Signatures, func(a, b entry.GenesisSignature) int { return strings.Compare(string(a.Person), string(b.Person)) })
	return nil
}

type reanchorApply struct {
	reanchorCore
	Document string `placeholder:"FILE" help:"The signed document; default: reanchor.cbor in the data folder."`
}

// Run applies.
func (c *reanchorApply) Run(e *env) error {
	if c.Document == "" {
		c.Document = filepath.Join(c.Data, reanchorName)
	}
	if _, err := readReanchor(c.Document); err != nil {
		return err
	}
	r, err := c.run(e, "re-anchor-apply", "--document", c.Document)
	if err != nil {
		return err
	}
	d := domainFileOf(r.Domain, entry.Genesis{Profile: r.Profile, LogKey: r.LogKey, Identity: r.Identity})
	d.Origin = r.Origin
	b, err := encodeJSON(d)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(c.Data, domainName), b, 0o644); err != nil {
		return err
	}
	e.say("Entry %d re-anchors the log: it goes on as incarnation %d.", r.Entry, r.Incarnation)
	e.hint("log witnesses replace the domain's line in their list of logs by: log %s; then: strongroom up --data %s%s", r.VKey, c.Data, c.again())
	return e.show(r, func() error { return e.pairs(r.pairs()) })
}

type reanchorStatus struct {
	File string `arg:"" optional:"" help:"A re-anchor document."`
}

// reanchorView is where a re-anchoring stands.
type reanchorView struct {
	Incarnation uint64              `json:"incarnation"`
	Origin      string              `json:"origin"`
	Reanchoring *client.Reanchoring `json:"reanchoring,omitempty"`
	GapAt       string              `json:"gapAt,omitempty"`
	Held        uint64              `json:"heldWallets"`
}

// Run shows it.
func (c *reanchorStatus) Run(e *env) error {
	if c.File != "" {
		b, err := readReanchor(c.File)
		if err != nil {
			return err
		}
		var ps []pair
		for _, l := range words.Reanchor(b) {
			ps = append(ps, pair{"", l})
		}
		for _, s := range b.Signatures {
			ps = append(ps, pair{"signed by", string(s.Person)})
		}
		return e.pairs(ps)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	s, err := cl.Status(e.ctx)
	if err != nil {
		return err
	}
	v := reanchorView{Incarnation: s.Incarnation, Origin: s.Origin, Reanchoring: s.Reanchoring, GapAt: s.GapAt, Held: s.Held}
	return e.show(v, func() error { return e.pairs(v.pairs()) })
}

func (v reanchorView) pairs() []pair {
	ps := []pair{{"incarnation", fmt.Sprintf("%d of the log, %s", v.Incarnation, v.Origin)}}
	if r := v.Reanchoring; r != nil {
		state := "time-lock until " + r.Until
		if r.Cancelled {
			state = "CANCELLED: put the log back that it was to replace, or re-anchor again"
		}
		ps = append(ps, pair{"re-anchored", fmt.Sprintf("in entry %d; %s", r.Entry, state)}, pair{"loss", words.Lost(r.From, r.To, r.Whole)})
	}
	if v.GapAt != "" {
		ps = append(ps, pair{"last gap", v.GapAt})
	}
	return append(ps, pair{"held wallets", strconv.FormatUint(v.Held, 10)})
}

type reanchorCancel struct{ sending }

// Run asks.
func (c *reanchorCancel) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	st, err := cl.Status(e.ctx)
	if err != nil {
		return err
	}
	if st.Reanchoring == nil || st.Reanchoring.Cancelled {
		return &hinted{err: errors.New("no re-anchoring is under way"), code: exitConflict}
	}
	return askAbout(e, c.sending, statusLife, func(l client.Life) (client.Body, error) {
		return &client.ReanchorCancel{Counter: l.Counter + 1, Reanchor: st.Reanchoring.Entry}, nil
	})
}

// walletReconcile frees a held wallet.
type walletReconcile struct {
	Name  string   `arg:"" help:"Wallet that is held."`
	Next  []string `sep:"none" placeholder:"INDEX=NONCE" help:"Ethereum: the next nonce of an address that nothing has used, by the chain and what nodes have waiting. May be given more than once."`
	Spent []string `sep:"none" placeholder:"TXID:N" help:"Bitcoin: an output of the wallet that was spent, and that the log doesn't know. May be given more than once."`
	asking
}

// Run asks.
func (c *walletReconcile) Run(e *env) error {
	b := &client.SlotReconcile{Wallet: client.WalletID(c.Name)}
	for _, s := range c.Next {
		index, nonce, ok := strings.Cut(s, "=")
		i, err := strconv.ParseUint(index, 10, 31)
		n, err2 := strconv.ParseUint(nonce, 10, 63)
		if !ok || err != nil || err2 != nil {
			return usage("--next %s: want INDEX=NONCE", s)
		}
		b.Accounts = append(b.Accounts, client.WalletNonce{Index: uint32(i), Next: n})
	}
	for _, s := range c.Spent {
		id, number, ok := strings.Cut(s, ":")
		n, err := strconv.ParseUint(number, 10, 32)
		var txid custody.HexBytes
		if err2 := txid.UnmarshalJSON(strconv.AppendQuote(nil, id)); !ok || err != nil || err2 != nil || len(txid) != 32 {
			return usage("--spent %s: want TXID:N, as explorers spell it", s)
		}
		slices.Reverse(txid)
		b.Spent = append(b.Spent, client.SpentInput{TxID: txid, Index: uint32(n)})
	}
	slices.SortFunc(b.Accounts, func(a, b client.WalletNonce) int { return int(a.Index) - int(b.Index) })
	slices.SortFunc(b.Spent, client.SpentInput.Compare)
	for _, l := range words.Body(b, "") {
		e.say("  %s", l)
	}
	return c.ask(e, b)
}
