// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/verifyapp"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/apiv1"
)

type statusCmd struct{}

// Run shows how everything is.
func (c *statusCmd) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	s, err := cl.Status(e.ctx)
	if err != nil {
		return err
	}
	if d, err := e.domain(); err == nil && s.Domain != d.Domain {
		return hint(fmt.Errorf("serve is of the domain %s; your identity is for %s", s.Domain, d.Domain), "%s", otherDomain)
	} else if err == nil && fmt.Sprintf("%x", s.LogKey) != d.LogKey {
		return fmt.Errorf("%w: serve shows another log key than your identity has for the domain %s", client.ErrDisagrees, d.Domain)
	}
	if err := e.show(s, func() error { return e.statusTable(s) }); err != nil {
		return err
	}
	if s.Failed != "" {
		return &hinted{err: fmt.Errorf("the core decides nothing any more: %s", s.Failed), hint: "look at the core's log; docs/runbooks says what to do", code: exitTryAgain}
	}
	return nil
}

func (e *env) statusTable(s client.Status) error {
	locked := "locked"
	if !s.MemoryLocked {
		locked = "NOT locked"
	}
	clock := fmt.Sprintf("%s ± %s, %s", s.Time, time.Duration(s.Bound), s.Clock)
	if len(s.TimeSources) > 0 {
		clock += " by " + strings.Join(s.TimeSources, ", ")
	}
	if !s.TimeCertain {
		clock += ", NOT certain: nothing is signed"
	}
	ps := []pair{{"domain", s.Domain}, {"profile", string(s.Profile)}, {"root of trust", s.Root}, {"log", fmt.Sprintf("%d entries, writer %d", s.Size, s.Writer)},
		{"pin", fmt.Sprintf("%d entries, by anchor %s", s.Pinned, s.Anchor)}, {"rules", fmt.Sprintf("version %d, hash %s", s.Policy, s.PolicyHash)},
		{"requests", fmt.Sprintf("%d pending, %d signed", s.Pending, s.Signed)}, {"wallets", fmt.Sprintf("%d, of them %d warm with %d open sessions", s.Wallets, s.WarmWallets, s.WarmSessions)},
		{"keys", fmt.Sprintf("%d unlocked, memory %s", s.KeysUnlocked, locked)}, {"sessions", fmt.Sprint(s.Sessions)}, {"clock", clock},
		{"cache", fmt.Sprintf("%d entries, %d behind", s.Cache.Entries, s.Cache.Behind)}}
	if s.MissingKeys > 0 {
		ps = append(ps, pair{"keys missing in the token", fmt.Sprintf("%d: their wallets can't pay; docs/runbooks/token.md", s.MissingKeys)})
	}
	ps = append(ps, e.modePairs(s)...)
	for _, ch := range s.Chains {
		ps = append(ps, pair{"node", nodeLine(ch)})
	}
	for _, n := range s.Notes {
		ps = append(ps, pair{"note", n})
	}
	if s.Failed != "" {
		ps = append(ps, pair{"FAILED", s.Failed})
	}
	return e.pairs(ps)
}

func nodeLine(c client.Chain) string {
	if c.Error != "" {
		return fmt.Sprintf("%s: NOT reached: %s", c.Chain, c.Error)
	}
	s := fmt.Sprintf("%s: height %d, %d behind, %d peers", c.Chain, c.Height, c.Behind, c.Peers)
	if c.Version != "" {
		s += ", " + c.Version
	}
	return s
}

// chainCmd is about nodes.
type chainCmd struct {
	Status chainStatus `cmd:"" help:"How the nodes are."`
}

type chainStatus struct{}

// Run shows them.
func (c *chainStatus) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	chains, err := cl.Chains(e.ctx)
	if err != nil {
		return err
	}
	return e.show(apiv1.ChainList{Chains: chains}, func() error {
		var rows [][]string
		for _, x := range chains {
			state := "ok"
			if x.Error != "" {
				state = x.Error
			}
			rows = append(rows, []string{string(x.Chain), x.Node, fmt.Sprint(x.Height), fmt.Sprint(x.Behind), fmt.Sprint(x.Peers), state})
		}
		return e.table([]string{"chain", "node", "height", "behind", "peers", "state"}, rows)
	})
}

// proofCmd is about proof files.
type proofCmd struct {
	Get proofGet `cmd:"" help:"Get the proof file of a request and check it."`
}

type proofGet struct {
	requestID
	Out string `required:"" placeholder:"FILE" help:"File for the proof; - is standard output."`
}

// Run gets it. A proof that does not hold with the log key of the identity is not written.
func (c *proofGet) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	b, err := cl.Proof(e.ctx, id)
	if err != nil {
		return err
	}
	d, err := e.domain()
	if err != nil {
		return err
	}
	if err := verifyapp.Check(b, d.LogKey); err != nil {
		return &hinted{err: err, hint: "serve gave a proof that does not hold; nothing was written", code: exitAlarm}
	}
	if err := e.create(c.Out, b, 0o644); err != nil {
		return err
	}
	e.say("The proof of request %s holds.", id)
	e.hint("anyone checks it with: strongroom-verify proof %s --log-key %s", c.Out, d.LogKey)
	return nil
}

type verifyCmd struct {
	Args []string `arg:"" optional:"" help:"Arguments of strongroom-verify."`
}

// Run is strongroom-verify.
func (c *verifyCmd) Run(e *env) error {
	args := c.Args
	if e.json() {
		args = append([]string{"-o", "json"}, args...)
	}
	if code := verifyapp.Main("strongroom verify", args, e.Out, e.Err); code != 0 {
		return silent(code)
	}
	return nil
}

// silent is an error that was told already.
type silent int

func (s silent) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// auditCmd is about the log.
type auditCmd struct {
	Check      auditCheck      `cmd:"" help:"Have the core check its whole log, decisions and blobs again."`
	Entries    auditEntries    `cmd:"" help:"Entries of the log in clear."`
	Checkpoint auditCheckpoint `cmd:"" help:"Latest checkpoint of the log: a note that the log key signed, and log witnesses where there are any."`
}

type auditCheck struct {
	Wait    bool `help:"Wait for its end; otherwise it is started, or how it goes is shown."`
	Showing bool `name:"show" help:"Do not start one; show how the last one went."`
}

// Run starts a check, and follows it.
func (c *auditCheck) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	var k client.Check
	if c.Showing {
		k, err = cl.Check(e.ctx)
	} else {
		k, err = cl.StartCheck(e.ctx)
	}
	for told := time.Now(); err == nil && c.Wait && k.Running; {
		if time.Since(told) > 2*time.Second {
			e.say("%d of %d entries…", k.Checked, k.Total)
			told = time.Now()
		}
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if k, err = cl.Check(e.ctx); err != nil {
			// What it finds can be the end of the core, before it is asked again.
			err = hint(fmt.Errorf("the check can't be followed any more: %w", err), "if the core has ended, it found something false: its log names the place")
		}
	}
	if err != nil {
		return err
	}
	if err := e.show(k, func() error { return e.pairs(checkPairs(k)) }); err != nil {
		return err
	}
	if k.Fault != "" {
		return &hinted{err: fmt.Errorf("the log does not hold: %s", k.Fault), hint: "stop using this domain; docs/runbooks says what to do", code: exitAlarm}
	}
	if k.Running {
		e.hint("strongroom audit check --show --wait follows it")
	}
	return nil
}

func checkPairs(k client.Check) []pair {
	state := "none was made since the start"
	switch {
	case k.Fault != "":
		state = "FALSE: " + k.Fault
	case k.Running:
		state = "running"
	case k.Done:
		state = "everything holds"
	}
	return []pair{{"check", state}, {"entries", fmt.Sprintf("%d of %d", k.Checked, k.Total)}}
}

type auditCheckpoint struct{}

// Run writes it as it is. Who reads it checks the signatures.
func (*auditCheckpoint) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	st, err := cl.Status(e.ctx) // the tiles' own may be a little behind
	if err != nil {
		return err
	}
	b := st.Checkpoint
	return e.show(map[string]string{"checkpoint": string(b)}, func() error {
		for _, l := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
			fmt.Fprintln(e.Out, words.Plain(l))
		}
		return nil
	})
}

type auditEntries struct {
	From  uint64 `help:"First entry."`
	Limit int    `default:"100" help:"Most to list, up to 1000."`
}

// Run lists.
func (c *auditEntries) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	l, err := cl.Entries(e.ctx, c.From, c.Limit, 0)
	if err != nil {
		return err
	}
	err = e.show(l, func() error {
		var rows [][]string
		for _, x := range l.Entries {
			n := 0
			for _, b := range x.Bodies {
				n += len(b.Body)
			}
			rows = append(rows, []string{fmt.Sprint(x.Seq), x.Kind, x.Time, fmt.Sprint(n), x.Hash})
		}
		return e.table([]string{"entry", "kind", "time", "bytes", "leaf hash"}, rows)
	})
	if err == nil && l.Next < l.Pinned {
		e.hint("more: --from %d", l.Next)
	}
	return err
}

type versionCmd struct{}

// Run says which version this is.
func (c *versionCmd) Run(e *env) error {
	v := map[string]string{"version": verifyapp.Version(), "go": runtime.Version()}
	return e.show(v, func() error { return e.pairs([]pair{{"strongroom", v["version"]}, {"go", v["go"]}}) })
}
