// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"strongroom/client"
	"strongroom/internal/app/watchapp"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/svc/monitor"
)

type watchCmd struct {
	Since string `default:"now" placeholder:"WHEN" help:"Where to begin: an entry's number, a time (2026-01-31T12:00:00Z), a duration back (24h), start, or now."`
	Only  string `enum:"all,security" default:"all" help:"all, or security: refusals, rejections, cancellations, and what changes people, rules, keys, the log or the domain."`
	JSON  bool   `name:"json" help:"One line of JSON an entry; as -o json."`
	Once  bool   `help:"End where the log ends now, instead of waiting for more."`
	cosigning
}

// cosigning says whose cosignatures of checkpoints count.
type cosigning struct {
	Witness []string `placeholder:"NAME=KEY" sep:"none" help:"Log witness whose cosignature counts (C2SP verifier key); repeat for all of them. Default: those of the domain's genesis."`
	Quorum  int      `placeholder:"N" help:"How many of them must have cosigned; default: of genesis, or a majority."`
}

// maxRemembered is how many requests a watch remembers, to say what later entries are about.
const maxRemembered = 100_000

// watching writes entries as they come.
type watching struct {
	e      *env
	only   string
	json   bool
	colour bool
	asked  map[custody.RequestID]string
}

// Run follows the log.
func (c *watchCmd) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	d, err := e.domain()
	if err != nil {
		return err
	}
	id, err := custody.ParseDomainID(d.Domain)
	if err != nil {
		return fmt.Errorf("the domain's id: %w", err)
	}
	key, err := hex.DecodeString(d.LogKey)
	if err != nil {
		return fmt.Errorf("the domain's log key: %w", err)
	}
	since, err := parseSince(c.Since, time.Now())
	if err != nil {
		return err
	}
	set, err := c.witnesses(func() ([]tlog.Witness, int, error) { return genesisWitnesses(e, cl, id) })
	if err != nil {
		return err
	}
	out := &watching{e: e, only: c.Only, json: c.JSON || e.json(), asked: map[custody.RequestID]string{}}
	if f, ok := e.Out.(*os.File); ok && !out.json && os.Getenv("NO_COLOR") == "" {
		out.colour = term.IsTerminal(int(f.Fd()))
	}
	w, err := watchapp.New(watchapp.Config{Source: cl, Domain: id, LogKey: key, Witnesses: set, Since: since, Once: c.Once, Show: out.show,
		Tell: func(s string) { e.say("%s", s) }})
	if err != nil {
		return err
	}
	var a *watchapp.Alarm
	if err := w.Run(e.ctx); errors.As(err, &a) {
		return &hinted{err: err, code: exitAlarm, hint: "do not rely on this serve: compare with another, ask the log witnesses, and see docs/runbooks/compromise.md"}
	} else if err != nil {
		return err
	}
	return nil
}

// parseSince reads --since.
func parseSince(s string, now time.Time) (out watchapp.Since, err error) {
	if s == "start" {
		s = "0"
	}
	if s == "now" {
		return out, nil
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		out.Seq = &n
		return out, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		out.After = now.Add(-d)
		return out, nil
	}
	if out.After, err = time.Parse(time.RFC3339, s); err != nil {
		return out, usage("--since %q must be an entry's number, a time such as 2026-01-31T12:00:00Z, a duration such as 24h, start, or now", s)
	}
	return out, nil
}

// witnesses gives the log witnesses whose cosignatures count: those of the flags, or of the domain's genesis, which its id is the hash of. After a
// re-anchoring others may have taken their place; then only those of the flags count.
func (c *cosigning) witnesses(ofGenesis func() ([]tlog.Witness, int, error)) (none tlog.Witnesses, err error) {
	var list []tlog.Witness
	quorum := c.Quorum
	for _, s := range c.Witness {
		name, text, _ := strings.Cut(s, "=")
		key, err := tlog.ParseWitnessKey(text)
		if err != nil {
			return none, usage("--witness %s: NAME=KEY: %w", name, err)
		}
		list = append(list, tlog.Witness{Name: name, Key: key})
	}
	if len(list) == 0 {
		if list, quorum, err = ofGenesis(); err != nil || len(list) == 0 {
			return none, err
		}
	}
	set, err := tlog.NewWitnesses(list, quorum)
	if err != nil {
		return none, usage("--witness: %w", err)
	}
	return set, nil
}

func genesisWitnesses(e *env, cl *client.Client, id custody.DomainID) (out []tlog.Witness, quorum int, err error) {
	st, err := cl.Status(e.ctx)
	if err != nil {
		return nil, 0, err
	}
	if st.Incarnation > 1 {
		e.say("%s", reanchored)
		return nil, 0, nil
	}
	l, err := cl.Entries(e.ctx, 0, 1, 0)
	if err != nil {
		return nil, 0, err
	}
	return witnessesIn(l, id)
}

const reanchored = "the log was re-anchored: cosignatures of log witnesses are looked at only with --witness"

// witnessesIn gives the log witnesses of a domain's genesis, which is the first of some entries.
func witnessesIn(l client.EntryList, id custody.DomainID) (out []tlog.Witness, quorum int, err error) {
	if len(l.Entries) == 0 || entry.Hash(l.Entries[0].Leaf) != id || len(l.Entries[0].Bodies) != 1 {
		return nil, 0, hint(fmt.Errorf("%w: entry 0 is not the genesis of the domain %s", client.ErrDisagrees, id), "%s", otherDomain)
	}
	leaf, err := entry.DecodeLeaf(l.Entries[0].Leaf)
	b := l.Entries[0].Bodies[0]
	if err != nil || len(leaf.Bodies) != 1 || len(b.Salt) != entry.SaltSize || entry.CheckBody(leaf.Bodies[0], [entry.SaltSize]byte(b.Salt), b.Body) != nil {
		return nil, 0, fmt.Errorf("%w: the body of entry 0 is not the genesis", client.ErrDisagrees)
	}
	v, err := authority.DecodeBody(leaf.Kind, leaf.KindVersion, b.Body)
	g, ok := v.(*entry.Genesis)
	if err != nil || !ok {
		return nil, 0, fmt.Errorf("%w: entry 0 is no genesis", client.ErrDisagrees)
	}
	for _, w := range g.Witnesses {
		key, err := tlog.ParseWitnessKey(w.Key)
		if err != nil {
			return nil, 0, fmt.Errorf("log witness %s: %w", w.Name, err)
		}
		out = append(out, tlog.Witness{Name: w.Name, Key: key})
	}
	return out, int(g.Quorum), nil
}

// watched is a line of JSON.
type watched struct {
	Seq      uint64           `json:"seq"`
	Time     string           `json:"time"`
	Kind     entry.Kind       `json:"kind"`
	Hash     string           `json:"hash"`
	Request  string           `json:"request,omitempty"`
	Who      custody.PersonID `json:"who,omitempty"`
	What     string           `json:"what"`
	Rule     string           `json:"rule,omitempty"`
	End      string           `json:"end,omitempty"`
	Security bool             `json:"security"`
}

// show writes an entry.
func (w *watching) show(x watchapp.Entry) error {
	h := words.Happening{What: fmt.Sprintf("an entry of kind %q, version %d, which this version of the program does not know", x.Leaf.Kind, x.Leaf.KindVersion)}
	if x.Body != nil {
		h = words.Entry(x.Body, func(id custody.RequestID) string { return w.asked[id] })
	}
	if r, ok := x.Body.(*entry.Request); ok {
		if len(w.asked) >= maxRemembered {
			clear(w.asked)
		}
		w.asked[h.Request] = words.Asked(r)
	}
	security := monitor.Security(x.Body)
	if w.only == "security" && !security {
		return nil
	}
	at := time.Unix(0, x.Leaf.Time)
	if w.json {
		line := watched{x.Leaf.Seq, at.UTC().Format(time.RFC3339Nano), x.Leaf.Kind, hex.EncodeToString(x.Hash[:]), "", h.Who, h.What, h.Rule, h.End, security}
		if h.Request != (custody.RequestID{}) {
			line.Request = h.Request.String()
		}
		b, err := words.JSON(line, "")
		if err == nil {
			_, err = w.e.Out.Write(b)
		}
		return err
	}
	_, err := fmt.Fprintln(w.e.Out, w.line(x.Leaf.Seq, at, h, security))
	return err
}

// line is an entry for people: time, number, who, what, rule, end.
func (w *watching) line(seq uint64, at time.Time, h words.Happening, security bool) string {
	who := "core"
	if h.Who != "" {
		who = w.e.person(h.Who)
	}
	s := fmt.Sprintf("%s  %d  %s  %s", words.Time(at), seq, who, h.What)
	if h.Request != (custody.RequestID{}) {
		s += fmt.Sprintf("  [request %.12s…]", h.Request)
	}
	if h.Rule != "" {
		s += fmt.Sprintf("  [rule %s]", h.Rule)
	}
	if h.End != "" {
		s += "  → " + h.End
	}
	s = words.Plain(s)
	if w.colour && security {
		s = "\x1b[1;33m" + s + "\x1b[0m"
	}
	return s
}
