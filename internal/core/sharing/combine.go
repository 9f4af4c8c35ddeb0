// SPDX-License-Identifier: Apache-2.0

package sharing

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/ristretto"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// Combine brings back the master secret from at least as many shares as the threshold. Every share is checked, and all that don't fit are
// named in one error. The caller keeps and wipes the shares, and wipes the master secret.
func Combine(a *secret.Arena, c share.Commitments, list []Share) (secret.Bytes, error) {
	opening, err := combine(a, c, list)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("sharing: combine: %w", err)
	}
	defer opening.Wipe()
	return secret.New(a, MasterSize, func(out []byte) error {
		return opening.Use(func(b []byte) error { copy(out, b); return nil })
	})
}

// Refresh makes new shares of the same master secret, in a scheme that may be another one: it is how custodians change, so that nobody hands
// a share over. A_0 stays the same; the old shares don't fit the new commitments and don't combine with new ones. Old shares still open
// the master secret as long as m of them exist: they must be destroyed.
func Refresh(a *secret.Arena, c share.Commitments, list []Share, seed secret.Bytes, scheme share.Scheme) (share.Commitments, []Share, error) {
	opening, err := combine(a, c, list)
	if err != nil {
		return share.Commitments{}, nil, fmt.Errorf("sharing: refresh: %w", err)
	}
	defer opening.Wipe()
	return split(a, opening, seed, scheme)
}

// combine returns the opening of A_0: master secret and blinding.
func combine(a *secret.Arena, c share.Commitments, list []Share) (secret.Bytes, error) {
	chosen, err := choose(c, list)
	if err != nil {
		return secret.Bytes{}, err
	}
	indices := make([]uint8, len(chosen))
	for i, s := range chosen {
		indices[i] = s.index
	}
	opening, err := secret.New(a, pairSize, func(out []byte) error {
		for _, s := range chosen {
			l := share.Lagrange(s.index, indices)
			if err := s.pair.Use(func(b []byte) error { return addMultiple(out, b, l) }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	if err := opens(c, opening); err != nil {
		opening.Wipe()
		return secret.Bytes{}, err
	}
	return opening, nil
}

// choose checks all shares and returns as many as the threshold, in the order of their indices.
func choose(c share.Commitments, list []Share) ([]Share, error) {
	chosen := slices.Clone(list)
	slices.SortFunc(chosen, func(x, y Share) int { return int(x.index) - int(y.index) })
	var bad []error
	for i, s := range chosen {
		if i > 0 && s.index == chosen[i-1].index {
			bad = append(bad, fmt.Errorf("%w: %d", ErrDuplicate, s.index))
		}
		if err := Check(c, s); err != nil {
			bad = append(bad, err)
		}
	}
	if bad != nil {
		return nil, errors.Join(bad...)
	}
	m := int(c.Scheme().Threshold)
	if m < 1 || len(chosen) < m {
		return nil, fmt.Errorf("%w: %d, %d are needed", ErrTooFew, len(chosen), m)
	}
	return chosen[:m], nil
}

// addMultiple adds l times the pair b to the pair out.
func addMultiple(out, b []byte, l *ristretto.Scalar) (err error) {
	secret.Do(func() {
		var v, t, sv, st ristretto.Scalar
		defer func() {
			v, t, sv, st = ristretto.Scalar{}, ristretto.Scalar{}, ristretto.Scalar{}, ristretto.Scalar{}
		}()
		if err = setPair(&sv, &st, out); err != nil {
			return
		}
		if err = setPair(&v, &t, b); err != nil {
			return
		}
		sv.MultiplyAdd(&v, l, &sv)
		st.MultiplyAdd(&t, l, &st)
		putPair(out, &sv, &st)
	})
	return err
}

// opens checks the opening against A_0, which also catches a machine that computes wrongly.
func opens(c share.Commitments, opening secret.Bytes) error {
	return opening.Use(func(b []byte) error {
		fits := false
		secret.Do(func() {
			var v, t ristretto.Scalar
			defer func() { v, t = ristretto.Scalar{}, ristretto.Scalar{} }()
			fits = setPair(&v, &t, b) == nil && commit(&v, &t).Equal(c.Secret())
		})
		if !fits {
			return fmt.Errorf("%w: together they don't open the first commitment; check the machine", ErrWrongShare)
		}
		return nil
	})
}
