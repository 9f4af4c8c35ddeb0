// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/watchapp"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/tlog"
)

// covered says what shows that entries which were read before are the domain's log.
type covered struct {
	Checkpoint string `placeholder:"FILE" help:"With --entries: signed checkpoint of the log, as 'strongroom audit checkpoint' writes it; the entries that it covers are run."`
	cosigning
	Unchecked bool `help:"With --entries, without --checkpoint: run them although nothing shows that they are the domain's log."`
}

func (c *covered) given() bool {
	return c.Checkpoint != "" || len(c.Witness) > 0 || c.Quorum != 0 || c.Unchecked
}

// replayFile runs rules over the entries of a file, as far as a checkpoint of the domain covers them, and says what that rests on.
func (c *policyReplay) replayFile(e *env, rules policy.Document) (client.ReplayReport, error) {
	none := client.ReplayReport{}
	switch {
	case c.Unchecked && (c.Checkpoint != "" || len(c.Witness) > 0):
		return none, usage("--unchecked checks nothing: leave out --checkpoint and --witness, or it")
	case c.Unchecked:
		e.say("UNCHECKED: nothing shows that the entries of %s are the domain's log.", c.Entries)
		return c.run(rules, 0)
	case c.Checkpoint == "":
		return none, hint(usage("--entries needs --checkpoint: who made the file may have left out or made up entries"),
			"'strongroom audit checkpoint' writes one, and log witnesses show theirs; --unchecked runs them all the same")
	}
	cp, by, err := c.checkpoint(e)
	if err != nil {
		return none, err
	}
	r, err := c.run(rules, cp.Size)
	if err != nil {
		return none, err
	}
	if err := coveredBy(r, cp, c.Entries); err != nil {
		return none, err
	}
	e.say("The entries are the log's: the domain signed a checkpoint of these %d%s.", cp.Size, cosignedWords(by))
	return r, nil
}

// coveredBy says whether what was run is what a checkpoint covers, all of it.
func coveredBy(r client.ReplayReport, cp tlog.Checkpoint, file string) error {
	switch {
	case r.Size < cp.Size:
		return fmt.Errorf("%s has %d entries; the checkpoint covers %d: read the rest of them too", file, r.Size, cp.Size)
	case r.Size != cp.Size || r.Root != cp.Root:
		return &hinted{err: fmt.Errorf("the entries of %s are not those that the checkpoint covers", file),
			hint: "entries are false or left out: read them again, from another serve", code: exitAlarm}
	default:
		return nil
	}
}

func (c *policyReplay) run(rules policy.Document, size uint64) (client.ReplayReport, error) {
	f, err := os.Open(c.Entries)
	if err != nil {
		return client.ReplayReport{}, err
	}
	defer f.Close()
	return client.ReplayEntries(rules, c.From, size, f)
}

// checkpoint reads the checkpoint and checks who signed it: the log key of the domain's public file here, and a quorum of the log witnesses, if there are any.
func (c *policyReplay) checkpoint(e *env) (cp tlog.Checkpoint, by []tlog.Cosigned, err error) {
	d, err := e.domain()
	if err != nil {
		return cp, nil, err
	}
	id, err := custody.ParseDomainID(d.Domain)
	if err != nil {
		return cp, nil, fmt.Errorf("the domain's id: %w", err)
	}
	key, err := hex.DecodeString(d.LogKey)
	if err != nil {
		return cp, nil, fmt.Errorf("the domain's log key: %w", err)
	}
	signed, err := os.ReadFile(c.Checkpoint)
	if err != nil {
		return cp, nil, err
	}
	alarm := func(err error) error {
		return &hinted{err: fmt.Errorf("the checkpoint: %w", err), hint: "it is of another log, or nobody signed it who should have", code: exitAlarm}
	}
	_, era, _, err := watchapp.Open(signed, id, key, tlog.Witnesses{}) // by the log key, before anything that it says is used
	if err != nil {
		return cp, nil, alarm(err)
	}
	set, err := c.witnesses(func() ([]tlog.Witness, int, error) {
		if era > 1 {
			e.say("%s", reanchored)
			return nil, 0, nil
		}
		return c.fileWitnesses(id)
	})
	if err != nil {
		return cp, nil, err
	}
	if cp, _, by, err = watchapp.Open(signed, id, key, set); err != nil {
		return cp, nil, alarm(err)
	}
	return cp, by, nil
}

// fileWitnesses gives the log witnesses of the genesis that the file begins with.
func (c *policyReplay) fileWitnesses(id custody.DomainID) ([]tlog.Witness, int, error) {
	f, err := os.Open(c.Entries)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	var l client.EntryList
	if err := json.NewDecoder(f).Decode(&l); err != nil {
		return nil, 0, fmt.Errorf("the entries of %s: %w", c.Entries, err)
	}
	return witnessesIn(l, id)
}

func cosignedWords(by []tlog.Cosigned) string {
	if len(by) == 0 {
		return "; no log witness was asked for"
	}
	names := make([]string, len(by))
	for i, w := range by {
		names[i] = w.Witness
	}
	return ", and the log witnesses " + strings.Join(names, ", ") + " cosigned it"
}
