// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"strongroom/internal/app/coldtalk"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/offline"
	"strongroom/internal/secret"
)

// operators are the people who confirm what an offline domain does.
type operators struct {
	Operator   []string `sep:"none" placeholder:"FILE" help:"Approval key of an operator; two different people's are needed where something is to be signed or confirmed. Without, everything else is done, and permits wait."`
	OperatorFD []int    `name:"operator-fd" placeholder:"N" help:"Read the passphrase of an operator's key from this file descriptor; in the order of --operator."`
}

// two refuses another number of operators.
func (o operators) two() error {
	if n := len(o.Operator); n != 0 && n != offline.Operators {
		return usage("--operator is given %d times: two operators confirm, or none", n)
	}
	return nil
}

// confirm has the operators sign a confirmation.
func (o operators) confirm(e *env, statement []byte) (out []offline.Signature, err error) {
	s, err := offline.DecodeConfirmation(statement)
	if err != nil {
		return nil, err
	}
	for i, path := range o.Operator {
		sig, err := o.confirmAs(e, i, path, s)
		if err != nil {
			return nil, err
		}
		out = append(out, sig)
	}
	return out, nil
}

// confirmAs has an operator sign a confirmation.
func (o operators) confirmAs(e *env, i int, path string, s offline.Confirmation) (offline.Signature, error) {
	fd := -1
	if i < len(o.OperatorFD) {
		fd = o.OperatorFD[i]
	}
	what := fmt.Sprintf("%d permits", len(s.Permits))
	if b := s.SetBack; b != nil {
		what = fmt.Sprintf("that this domain was set back, and takes its entries %d to %d,", b.From, b.To-1)
	}
	e.say("Operator %d confirms %s of bundle %s, at %s by this machine's clock.", i+1, what, words.Groups(s.Bundle[:8]), words.Time(time.Unix(0, s.Time)))
	k, err := e.unlock(path, func(prompt string) (secret.Bytes, error) { return e.passphrase(fd, prompt, "--operator-fd") })
	if err != nil {
		return offline.Signature{}, err
	}
	defer k.Wipe()
	sig, err := k.Sign(s.Message())
	return offline.Signature{Person: k.Person(), Key: k.Public().Ref(), Sig: sig}, err
}

type coldRestore struct {
	coreFlags
	From     string `required:"" placeholder:"FOLDER" help:"Folder of the backup."`
	Manifest string `placeholder:"NAME" help:"Restore an older day: the name of a manifest in the folder. Default: the newest."`
	Bundle   string `type:"existingfile" placeholder:"FILE" help:"Where the backup is behind what the online domain knows: a full bundle that completes it ('strongroom cold export --full'). Two operators see what is lost, and confirm."`
	operators
	SetBack uint64 `placeholder:"N" help:"Take it without asking that the domain was set back, and that the online domain knows N entries of its log and no other number."`
}

// coldRestored is what strongroom-core says.
type coldRestored struct {
	restoredReport
	SetBack *coldLoss `json:"setBack,omitempty"`
}

// coldLoss says what was lost.
type coldLoss struct {
	From     uint64             `json:"from"`
	To       uint64             `json:"to"`
	Dropped  uint64             `json:"dropped"`
	Bundle   uint64             `json:"bundle"`
	Signed   []coldSigned       `json:"signed,omitempty"`
	Undone   []coldSigned       `json:"undone,omitempty"`
	Came     []custody.WalletID `json:"came,omitempty"`
	Left     []custody.WalletID `json:"left,omitempty"`
	Missing  []custody.WalletID `json:"missing,omitempty"`
	Import   bool               `json:"importKeyLost"`
	Stranded custody.WalletID   `json:"stranded,omitempty"`
	Maybe    []coldLost         `json:"maybe,omitempty"`
	Gap      uint64             `json:"gap,omitempty"`
}

// Run restores.
func (c *coldRestore) Run(e *env) error {
	if err := c.two(); err != nil {
		return err
	}
	if c.Bundle == "" && len(c.Operator) > 0 {
		return usage("--operator is for --bundle: without, nothing is confirmed")
	}
	pass, err := c.passphrase(e, false)
	if err != nil {
		return err
	}
	defer pass.Wipe()
	more := []string{"--from", c.From}
	if c.Manifest != "" {
		more = append(more, "--manifest", c.Manifest)
	}
	if c.Bundle != "" {
		more = append(more, "--bundle", c.Bundle)
	}
	args := append([]string{"cold", "restore"}, c.args("", more...)[1:]...)
	out, err := e.runTalking(pass, c.Bundle != "", func(q coldtalk.Question) (coldtalk.Reply, error) { return c.answer(e, q) }, args...)
	if err != nil {
		return err
	}
	var r coldRestored
	if err := json.Unmarshal(out, &r); err != nil {
		return fmt.Errorf("%s cold restore: %w", coreProgram, err)
	}
	c.hints(e, r)
	return e.show(r, func() error { return e.pairs(r.pairs()) })
}

// answer answers a question of the core: whether what it has shown is accepted, and for the operators' signatures.
func (c *coldRestore) answer(e *env, q coldtalk.Question) (out coldtalk.Reply, err error) {
	switch {
	case len(c.Operator) == 0:
		return out, fmt.Errorf("two operators have to confirm that it was set back: --operator, twice")
	case q.SetBack > 0:
		return coldtalk.Reply{Agreed: q.SetBack}, c.accept(e, q.SetBack)
	case len(q.Statement) > 0:
		out.Signatures, err = c.confirm(e, q.Statement)
		return out, err
	default:
		return coldtalk.Reply{Nobody: true}, nil
	}
}

// accept has the operators type how many entries of this domain's log the online domain knows; a program names the number beforehand.
func (c *coldRestore) accept(e *env, known uint64) error {
	switch c.SetBack {
	case known:
		return nil
	case 0:
	default:
		return fmt.Errorf("the online domain knows %d entries of this domain's log; --set-back names %d", known, c.SetBack)
	}
	unattended := fmt.Sprintf("a program gives --set-back %d", known)
	err := e.confirmWord(strconv.FormatUint(known, 10), "Go on with the entries that the online domain knows? Type how many these are.", unattended)
	if err != nil {
		return fmt.Errorf("%w; %s", err, unattended) // it crosses to the core as text, without a hint
	}
	return nil
}

// hints says what comes next.
func (c *coldRestore) hints(e *env, r coldRestored) {
	if r.SetBack == nil && c.Bundle != "" {
		e.hint("the bundle knows no more than the backup has; if it is the newest, 'strongroom cold sign %s'", c.Bundle)
		return
	}
	if r.SetBack == nil {
		e.hint("the next bundle must be a full one: 'strongroom cold export --full' on the online machine")
		return
	}
	e.hint("now 'strongroom cold sign %s', and import its result online before any wallet moves here; then back up", c.Bundle)
	for _, w := range r.SetBack.Missing {
		e.hint("the seed of wallet %s is not here: look for a newer backup or copy of this machine's folder; its blob goes into 'blobs'", w)
	}
}

func (r coldRestored) pairs() []pair {
	out := []pair{{"offline domain", hex.EncodeToString(r.Domain[:])}, {"entries", strconv.FormatUint(r.Entries, 10)}, {"wallets", strconv.Itoa(r.Keys)}}
	l := r.SetBack
	if l == nil {
		return out
	}
	out = append(out, pair{"set back", fmt.Sprintf("to %d entries; %d came back from the online log, %d of the backup are dropped", l.From, l.To-l.From, l.Dropped)})
	for _, w := range l.Missing {
		out = append(out, pair{"MISSING seed", string(w)})
	}
	if l.Import {
		out = append(out, pair{"import key", "lost; another one was made"})
	}
	return append(out, pair{"permits that may be signed", strconv.Itoa(len(l.Maybe))})
}
