// SPDX-License-Identifier: Apache-2.0

// Package verify checks what a domain claims, without the domain: proof files, and checkpoints. It has no keys and no network. Who
// uses it brings the domain's public log key, from a source of their own; everything else must follow from the file.
//
// A proof shows that the entries in it are in the log that the checkpoint commits, that the people in it signed, that the rules as
// recorded lead to the decision as recorded, that the payload does what was approved and nothing else, and that the signature is
// the wallet's. That no other entry concerns the request is the domain's signed word, as of the entry that it names; without it a file does
// not hold. Who doesn't take that word audits the whole log ('audit check', or the tiles), and compares two checkpoints for consistency.
package verify

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// ErrInvalid is wrapped by every error about a proof that does not hold.
var ErrInvalid = errors.New("the proof does not hold")

// ErrNotProof says that a file is no proof at all: mostly the wrong file was given. It is an [ErrInvalid] too.
var ErrNotProof error = notProof{}

type notProof struct{}

func (notProof) Error() string        { return "not a proof file" }
func (notProof) Is(target error) bool { return target == ErrInvalid }

// Report is what a proof shows.
type Report struct {
	Domain     custody.DomainID
	Profile    custody.Profile
	Size       uint64 // entries that the checkpoint commits
	Request    custody.RequestID
	Initiator  custody.PersonID
	Evidence   policy.EvidenceKind
	Effects    request.Effects
	Bounds     request.Bounds
	Rule       string // route, guard or plan that decided
	Outcome    policy.Outcome
	Approvals  []Signature
	Rejections []Signature
	Refusals   []Refusal
	Attempts   []Attempt
	Executed   bool           // an operation other than a transfer took effect
	State      string         // of the request: pending, signed, or how it ended
	AsOf       uint64         // entries of the log, from the first, to which State refers
	Wallet     *entry.Wallet  // that the request made, or is about; nil if none
	Genesis    *entry.Genesis // of the domain
	Entries    []Line         // all entries, in order
	Witnesses  []Witness      // log witnesses whose cosignature of the checkpoint verifies
	Quorum     int            // how many the domain's genesis wants; 0 where it names none
	Notes      []string

	Incarnation uint64     // of the log, that the checkpoint is of
	Reanchors   []Reanchor // every re-anchoring of the log, in order
}

// Witness is a log witness that cosigned the checkpoint.
type Witness struct {
	Name string    // in the genesis of the domain
	Key  string    // verifier key
	Time time.Time // by the witness's clock
}

// Options are what a verifier asks for besides.
type Options struct {
	// Witnesses are verifier keys (vkeys) of log witnesses that the verifier trusts, and Quorum how many of them must have cosigned the
	// checkpoint; 0: more than half. Without them the domain's own log witnesses count, as its genesis names them.
	Witnesses []string
	Quorum    int
}

// Signature is a person's verified decision.
type Signature struct {
	Person   custody.PersonID
	Decision request.Decision
	Entry    uint64
	Time     time.Time
}

// Refusal is a recorded refusal.
type Refusal struct {
	Entry  uint64
	Act    string
	Kind   problem.Kind
	Detail string
}

// Attempt is a permit and, if it was signed, its transaction.
type Attempt struct {
	Permit uint64
	Fee    custody.Uint256
	TxID   string // empty if no result is in the proof
	Result uint64
}

// Line is one entry.
type Line struct {
	Entry uint64
	Kind  entry.Kind
	Time  time.Time
	Bound time.Duration
}

// Proof checks a proof file against the domain's public log key, 32 bytes of Ed25519. The error names the entry and what is wrong.
func Proof(file []byte, logKey ed25519.PublicKey) (*Report, error) {
	return ProofWith(file, logKey, Options{})
}

// ErrOptions says that options make no sense.
var ErrOptions = errors.New("log witnesses")

// ProofWith is Proof with options.
func ProofWith(file []byte, logKey ed25519.PublicKey, o Options) (*Report, error) {
	trusted, err := o.set()
	if err != nil {
		return nil, err
	}
	if !proof.Looks(file) {
		return nil, ErrNotProof
	}
	f, err := proof.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	c := &checker{file: f, report: &Report{Request: f.Request}, docs: map[uint64]*policy.Rules{}, bodies: map[uint64]any{}, leaves: map[uint64]entry.Leaf{},
		wallets: map[custody.WalletID]*entry.Wallet{}}
	if err := c.run(logKey); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if err := c.report.witnessed(trusted); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return c.report, nil
}

// checker goes through a proof once.
type checker struct {
	file    proof.File
	report  *Report
	docs    map[uint64]*policy.Rules // by version
	made    []made                   // the same, in order
	wallets map[custody.WalletID]*entry.Wallet
	bodies  map[uint64]any        // by entry
	leaves  map[uint64]entry.Leaf // by entry
	order   []uint64
	request *entry.Request
	req     *request.Parsed
	seq     uint64       // of request
	wallet  entry.Wallet // that the request names, or zero

	identity ed25519.PublicKey // of the domain
	end      string            // how the request ended, if not by an effect or a result
	own      []uint64          // refusals, permits and results of the request so far
	votes    []uint64          // approvals of the request so far
	first    *entry.Permit     // of the request
	ledger   bool              // it was noted that rules look at the address ledger
	priced   bool              // it was noted that they look at prices
}

func (c *checker) run(logKey ed25519.PublicKey) error {
	if len(c.file.Entries) == 0 {
		return errors.New("the file has no entries")
	}
	if err := c.open(logKey); err != nil {
		return err
	}
	if err := c.rules(logKey); err != nil {
		return err
	}
	if err := c.reanchors(logKey); err != nil {
		return err
	}
	if err := c.decided(); err != nil {
		return err
	}
	if err := c.acts(); err != nil {
		return err
	}
	return c.complete()
}

// complete checks the domain's word that the file has all entries of the request, and that they lead to the state which it names.
func (c *checker) complete() error {
	w, r := c.file.Word, c.report
	claim := proof.Claim{Authority: custody.AuthorityID(r.Domain), Domain: r.Domain, Request: c.file.Request, Size: w.Size, State: w.State, Entries: c.order}
	ended := "pending"
	switch {
	case r.Executed:
		ended = authority.EndExecuted.String()
	case len(r.Attempts) > 0:
		ended = authority.EndSigned.String()
	case c.end != "":
		ended = c.end
	}
	switch {
	case w.Size > r.Size || w.Size <= c.order[len(c.order)-1]:
		return fmt.Errorf("the domain's word is about %d entries, which are not those of the file and the checkpoint", w.Size)
	case len(w.Sig) != ed25519.SignatureSize || !ed25519.Verify(c.identity, claim.Message(), w.Sig):
		return errors.New("the domain's word that these are all entries of the request does not verify: entries are missing, or were added")
	case w.State != ended && (w.State != authority.EndExpired.String() || ended != "pending" && ended != authority.EndVoid.String()):
		return fmt.Errorf("the entries lead to a request that is %s; the domain's word is %q", ended, w.State)
	}
	r.State, r.AsOf = w.State, w.Size
	if c.wallet.ID != "" {
		r.Wallet = &c.wallet
	}
	return nil
}

// open checks checkpoint, places and bodies.
func (c *checker) open(logKey ed25519.PublicKey) error {
	first := entry.Hash(c.file.Entries[0].Leaf)
	c.report.Domain = custody.DomainID(first)
	number, set, err := c.incarnation()
	if err != nil {
		return err
	}
	key, err := tlog.NewKey(entry.Origin(c.report.Domain, number), logKey)
	if err != nil {
		return err
	}
	c.report.Incarnation = number
	cp, by, err := tlog.OpenWitnessed(c.file.Checkpoint, set, key)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	c.report.cosigned(set, by)
	c.report.Size = cp.Size
	for i, e := range c.file.Entries {
		l, err := entry.DecodeLeaf(e.Leaf)
		if err != nil {
			return fmt.Errorf("entry at position %d: %w", i, err)
		}
		if err := c.place(i, l, e, cp); err != nil {
			return fmt.Errorf("entry %d: %w", l.Seq, err)
		}
	}
	return nil
}

func (c *checker) place(i int, l entry.Leaf, e proof.Entry, cp tlog.Checkpoint) error {
	switch {
	case (i == 0) != (l.Seq == 0):
		return errors.New("genesis must come first, and once")
	case i > 0 && l.Seq <= c.order[i-1]:
		return errors.New("entries must ascend")
	case i > 0 && (l.Domain != c.report.Domain || custody.DomainID(l.Authority) != c.report.Domain):
		return errors.New("it belongs to another domain")
	case l.Engine != entry.Engine1:
		return fmt.Errorf("engine %q is not known to this program", l.Engine)
	case len(e.Bodies) != len(l.Bodies) || len(l.Bodies) == 0:
		return errors.New("its bodies are not those that the leaf names")
	}
	if err := tlog.VerifyInclusion(e.Path, l.Seq, cp.Size, entry.Hash(e.Leaf), cp.Root); err != nil {
		return fmt.Errorf("not in the tree of the checkpoint: %w", err)
	}
	for j, b := range e.Bodies {
		if b.LeftOut && l.Bodies[j].Class == entry.Personal && len(b.Body) == 0 && len(b.Salt) == 0 {
			continue
		}
		if b.LeftOut || len(b.Salt) != entry.SaltSize {
			return fmt.Errorf("body %d is left out or has no salt", j)
		}
		if err := entry.CheckBody(l.Bodies[j], [entry.SaltSize]byte(b.Salt), b.Body); err != nil {
			return fmt.Errorf("body %d: %w", j, err)
		}
	}
	body, err := authority.DecodeBody(l.Kind, l.KindVersion, e.Bodies[0].Body)
	if err != nil {
		return err
	}
	at := time.Unix(0, l.Time).UTC()
	c.bodies[l.Seq], c.leaves[l.Seq] = body, l
	c.order = append(c.order, l.Seq)
	c.report.Entries = append(c.report.Entries, Line{Entry: l.Seq, Kind: l.Kind, Time: at, Bound: time.Duration(l.Bound)})
	return nil
}

// rules collects the rule documents, the wallet and the request.
func (c *checker) rules(logKey ed25519.PublicKey) error {
	if _, ok := c.bodies[0].(*entry.Genesis); !ok {
		return errors.New("entry 0 is no genesis")
	}
	for _, seq := range c.order {
		switch b := c.bodies[seq].(type) {
		case *entry.Genesis:
			if seq != 0 {
				return fmt.Errorf("entry %d is a second genesis", seq)
			}
			if err := authority.AuditGenesis(b); err != nil {
				return fmt.Errorf("genesis: %w", err)
			}
			if !logKey.Equal(ed25519.PublicKey(b.LogKey)) {
				return errors.New("genesis names another log key")
			}
			if len(b.Identity) != ed25519.PublicKeySize {
				return errors.New("genesis has no identity key")
			}
			c.report.Profile, c.identity, c.report.Genesis = b.Profile, b.Identity, b
			if err := c.document(seq, b.Document); err != nil {
				return fmt.Errorf("genesis: %w", err)
			}
		case *entry.Effect:
			if len(b.Document) > 0 {
				if err := c.document(seq, b.Document); err != nil {
					return fmt.Errorf("entry %d: %w", seq, err)
				}
			}
			if b.Wallet != nil {
				c.wallets[b.Wallet.ID] = b.Wallet
			}
		case *entry.Request:
			r, err := b.Parse()
			if err != nil {
				return fmt.Errorf("entry %d: %w", seq, err)
			}
			if r.Ident != c.file.Request {
				continue
			}
			if c.request != nil {
				return fmt.Errorf("entry %d: the request stands in the file twice", seq)
			}
			c.request, c.req, c.seq = b, r, seq
		}
	}
	if c.request == nil {
		return fmt.Errorf("request %s is not in the file", c.file.Request)
	}
	if c.report.Profile == custody.Evaluation {
		head := "head kept in a file"
		if c.report.Quorum > 0 {
			head = "head kept by log witnesses"
		}
		c.report.Notes = append(c.report.Notes, "the domain has the evaluation profile: soft root of trust, "+head+", perhaps the plain system clock")
	}
	return nil
}

func (c *checker) document(seq uint64, b []byte) error {
	d, err := policy.DecodeDocument(b)
	if err != nil {
		return err
	}
	r, err := policy.Compile(d)
	if err != nil {
		return err
	}
	if _, ok := c.docs[d.Version]; ok {
		return fmt.Errorf("version %d of the rule document stands in the file twice", d.Version)
	}
	if before, ok := c.docs[d.Version-1]; ok && before.Hash() != d.PrevHash {
		return fmt.Errorf("version %d of the rule document does not follow version %d", d.Version, d.Version-1)
	}
	c.docs[d.Version] = r
	c.made = append(c.made, made{seq, r})
	return nil
}

// made is a rule document and the entry that made it.
type made struct {
	seq   uint64
	rules *policy.Rules
}

// inForce gives the rules at an entry. The file has them for each entry of the request.
func (c *checker) inForce(seq uint64) *policy.Rules {
	var r *policy.Rules
	for _, m := range c.made {
		if m.seq < seq {
			r = m.rules
		}
	}
	return r
}

// rulesOf gives the rules that a decision names.
func (c *checker) rulesOf(d policy.Decision) (*policy.Rules, error) {
	r, ok := c.docs[d.Version]
	if !ok || r.Hash() != d.Hash {
		return nil, fmt.Errorf("rule document version %d, by which it was decided, is not in the file", d.Version)
	}
	return r, nil
}
