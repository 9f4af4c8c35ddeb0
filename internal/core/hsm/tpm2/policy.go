// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"crypto/sha256"
	"fmt"
	"slices"

	tpm "github.com/google/go-tpm/tpm2"
)

// maxPCR is the last register of the PC client profile.
const maxPCR = 23

// policy is what a sealed object and an index ask for: registers as they were, and an authorization value. Values are of the SHA-256 bank.
type policy struct {
	PCRs   []uint              `cbor:"1,keyasint"` // ascending; none: only the authorization value is asked for
	Values [][sha256.Size]byte `cbor:"2,keyasint"` // one for each
}

// checkPCRs refuses a selection that isn't ascending or that no TPM has.
func checkPCRs(pcrs []uint) error {
	for i, n := range pcrs {
		if n > maxPCR || i > 0 && n <= pcrs[i-1] {
			return fmt.Errorf("tpm2 root: PCRs %v: give numbers from 0 to %d, ascending, each once", pcrs, maxPCR)
		}
	}
	return nil
}

func (p policy) check() error {
	if len(p.Values) != len(p.PCRs) {
		return fmt.Errorf("%d values for %d registers", len(p.Values), len(p.PCRs))
	}
	return checkPCRs(p.PCRs)
}

func selection(pcrs ...uint) tpm.TPMLPCRSelection {
	return tpm.TPMLPCRSelection{PCRSelections: []tpm.TPMSPCRSelection{{Hash: tpm.TPMAlgSHA256, PCRSelect: tpm.PCClientCompatible.PCRs(pcrs...)}}}
}

// pcr is the command that a policy session must have run; with the digest of all values, in the order of the registers.
func (p policy) pcr(session tpm.TPMHandle) tpm.PolicyPCR {
	h := sha256.New()
	for _, v := range p.Values {
		h.Write(v[:])
	}
	return tpm.PolicyPCR{PolicySession: session, PcrDigest: tpm.TPM2BDigest{Buffer: h.Sum(nil)}, Pcrs: selection(p.PCRs...)}
}

// digest is the policy as an object names it (TPM 2.0 part 3, TPM2_PolicyPCR and TPM2_PolicyAuthValue).
func (p policy) digest() (tpm.TPM2BDigest, error) {
	c, err := tpm.NewPolicyCalculator(tpm.TPMAlgSHA256)
	if err == nil && len(p.PCRs) > 0 {
		err = p.pcr(0).Update(c)
	}
	if err == nil {
		err = tpm.PolicyAuthValue{}.Update(c)
	}
	if err != nil {
		return tpm.TPM2BDigest{}, fmt.Errorf("policy: %w", err)
	}
	return tpm.TPM2BDigest{Buffer: c.Hash().Digest}, nil
}

// readPCRs reads registers, one by one: a TPM may answer with fewer than it was asked for.
func (o *op) readPCRs(k *primaryKey, pcrs []uint) (policy, error) {
	p := policy{PCRs: pcrs, Values: make([][sha256.Size]byte, 0, len(pcrs))}
	for _, n := range pcrs {
		s, err := o.session(k, nil, tpm.Audit()) // so that the answer carries a MAC
		if err != nil {
			return p, err
		}
		r, err := tpm.PCRRead{PCRSelectionIn: selection(n)}.Execute(o, s)
		if err != nil {
			return p, fmt.Errorf("read PCR %d: %w", n, err)
		}
		if len(r.PCRValues.Digests) != 1 || len(r.PCRValues.Digests[0].Buffer) != sha256.Size {
			return p, fmt.Errorf("read PCR %d: the TPM has no SHA-256 bank; switch it on in the firmware", n)
		}
		p.Values = append(p.Values, [sha256.Size]byte(r.PCRValues.Digests[0].Buffer))
		if err := o.unload(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// changed compares registers with what they were.
func (p policy) changed(now policy) error {
	e := &PCRError{}
	for i, n := range p.PCRs {
		if p.Values[i] != now.Values[i] {
			e.Changed = append(e.Changed, n)
		}
	}
	if len(e.Changed) > 0 {
		return e
	}
	return nil
}

// unload flushes what was loaded last.
func (o *op) unload() error {
	last := len(o.loaded) - 1
	h := o.loaded[last]
	o.loaded = slices.Delete(o.loaded, last, last+1)
	return o.flush(h)
}
