// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
)

func TestFeeRate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate chain.FeeRate
		size int
		want btc.Sat
	}{{1_000, 141, 141}, {1_001, 141, 142}, {1, 1, 1}, {0, 100, 0}, {chain.MaxFeeRate, 100_000, 1_000_000_000}} {
		if got := c.rate.Fee(c.size); got != c.want {
			t.Errorf("%d for %d bytes: got %d, want %d", c.rate, c.size, got, c.want)
		}
	}
	for r, want := range map[chain.FeeRate]chain.FeeRate{0: chain.MinFeeRate, 5_000: 5_000, 1 << 60: chain.MaxFeeRate} {
		if got := r.Clamp(); got != want {
			t.Errorf("%d: got %d, want %d", r, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	f := chain.BitcoinFees{Low: 1, Medium: 2, High: 3}
	for l, want := range map[chain.Level]chain.FeeRate{chain.Low: 1, chain.Medium: 2, chain.High: 3} {
		if got, ok := f.At(l); !ok || got != want {
			t.Errorf("%s: got %d, %v", l, got, ok)
		}
	}
	if _, ok := f.At("urgent"); ok {
		t.Error("an unknown level was taken")
	}
	if _, ok := (chain.EthereumFees{}).At(""); ok {
		t.Error("an empty level was taken")
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := fmt.Errorf("wrapped: %w", &chain.Refusal{Reason: chain.NoFunds, Node: "n:1", Act: "send", Text: "broke", Err: cause})
	if !errors.Is(err, &chain.Refusal{Reason: chain.NoFunds}) || errors.Is(err, &chain.Refusal{Reason: chain.Invalid}) || !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
	if chain.ReasonOf(err) != chain.NoFunds || chain.ReasonOf(cause) != "" || chain.ReasonOf(nil) != "" {
		t.Error("reasons are mixed up")
	}
	p := chain.Problem(err)
	if problem.KindOf(p) != problem.Insufficient || !strings.Contains(p.Error(), "node n:1: send: broke") || !errors.Is(p, cause) {
		t.Errorf("got %v", p)
	}
	if chain.Problem(nil) != nil {
		t.Error("no error became a problem")
	}
	if got := chain.Problem(cause); problem.KindOf(got) != problem.Internal || strings.Contains(got.Error(), "cause") {
		t.Errorf("got %v", got)
	}
	if own := problem.New(problem.Expired, "x"); !errors.Is(chain.Problem(fmt.Errorf("y: %w", own)), own) {
		t.Error("a problem did not stay as it was")
	}
}

// TestKinds: every reason has the kind that tells a caller what to do.
func TestKinds(t *testing.T) {
	t.Parallel()
	for r, want := range map[chain.Reason]problem.Kind{
		chain.Unavailable: problem.NodeUnavailable, chain.Contradiction: problem.NodeUnavailable, chain.WrongChain: problem.WrongNetwork,
		chain.NotFound: problem.NotFound, chain.NoFunds: problem.Insufficient, chain.FeeTooLow: problem.Busy, chain.PoolFull: problem.Busy,
		chain.Unsupported: problem.Unsupported, chain.Invalid: problem.Malformed, chain.Reverts: problem.Malformed,
		chain.NonceTooLow: problem.Conflict, chain.Underpriced: problem.Conflict, chain.InputsSpent: problem.Conflict,
	} {
		if got := problem.KindOf(chain.Problem(&chain.Refusal{Reason: r})); got != want {
			t.Errorf("%s: got %s, want %s", r, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"plain": "plain", "a\x1b[2J\nb": "a?[2J?b", "äb": "??b", "0123456789abc": "0123456789"} {
		if got := chain.Printable(in, 10); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for s, want := range map[chain.TxState]string{chain.TxUnknown: "unknown", chain.TxPending: "pending", chain.TxMined: "mined"} {
		if s.String() != want {
			t.Errorf("got %s, want %s", s, want)
		}
	}
}
