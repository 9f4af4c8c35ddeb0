// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/request"
)

// A number is taken once, and not when it is too far behind; any other is.
func TestCallNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c callNumbers
		seen, top := map[uint64]bool{}, uint64(0)
		for range rapid.IntRange(1, 300).Draw(t, "calls") {
			step := rapid.SampledFrom([]int64{0, 1, 1, 1, 2, 63, 64, 65, -1, -64, -100, message.AppWindow - 1, message.AppWindow, message.AppWindow + 1, 3 * message.AppWindow, 1 - message.AppWindow, -message.AppWindow, -1 - message.AppWindow}).Draw(t, "step")
			n := uint64(max(0, int64(top)+step))
			want := n > 0 && !seen[n] && n+message.AppWindow > top
			if got := c.take(n); got != want {
				t.Fatalf("number %d after %d: %v", n, top, got)
			}
			if want {
				seen[n], top = true, max(top, n)
			}
		}
		if c.take(^uint64(0)) {
			t.Fatal("a number that leaves no room above it was taken")
		}
	})
}

// In no stretch of time are there more calls than burst and rate give, and who keeps to the rate is never turned away.
func TestCallRates(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := &authority.Grant{Seq: 7, Body: request.AppGrantBody{Rate: rapid.Uint64Range(1, 50).Draw(t, "rate"), Burst: rapid.Uint64Range(1, 20).Draw(t, "burst")}}
		var r callRates
		now := int64(rapid.IntRange(0, 1<<40).Draw(t, "start"))
		var taken []int64
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			now += rapid.SampledFrom([]int64{0, 0, 0, 1, 1e6, 2e7, 1e8, 1e9}).Draw(t, "later")
			if rapid.IntRange(0, 20).Draw(t, "forget") == 0 {
				r.forget(now)
			}
			if r.take(g, now) {
				taken = append(taken, now)
			}
		}
		for i := range taken {
			for j := i; j < len(taken); j++ {
				if most := float64(g.Body.Burst) + float64(g.Body.Rate)*float64(taken[j]-taken[i])/1e9; float64(j-i+1) > most+1e-6 {
					t.Fatalf("%d calls in %d ns, want at most %v", j-i+1, taken[j]-taken[i], most)
				}
			}
		}
		now += 1e12
		for range 100 {
			if !r.take(g, now) {
				t.Fatal("turned away although it keeps to the rate")
			}
			now += (1e9 + int64(g.Body.Rate) - 1) / int64(g.Body.Rate)
		}
	})
}
