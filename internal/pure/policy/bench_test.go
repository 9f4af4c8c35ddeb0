// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// ruleset gives n routes, one a wallet, a few guards with and without an expression, and a last automatic route.
func ruleset(n int) policy.Document {
	d := sample()
	d.Guards = append(d.Guards, policy.Guard{ID: "round", Effect: policy.Hold, When: policy.Match{Operations: []request.Operation{request.Transfer},
		Expr: `destinations.exists(d, d.amount > amount("1000000000000000000000"))`}})
	d.Routes = nil
	for i := range min(n, policy.MaxRoutes) - 1 {
		d.Routes = append(d.Routes, policy.Route{ID: fmt.Sprintf("r%d", i), Priority: uint32(i), Plan: plan("treasury", 2), When: policy.Match{
			Operations: []request.Operation{request.Transfer}, Wallets: []custody.WalletID{custody.WalletID(fmt.Sprintf("w%d", i))}, AmountMax: u("5")}})
	}
	d.Routes = append(d.Routes, policy.Route{ID: "last", Priority: 1 << 20, Auto: true, When: policy.Match{Operations: []request.Operation{request.Transfer}, InitiatorIn: []custody.GroupID{"bots"}}})
	return d
}

func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{10, 1000} {
		d := ruleset(n)
		for _, with := range []string{"table", "expression"} {
			if with == "table" {
				d.Guards = d.Guards[:1]
			} else {
				d.Guards = ruleset(n).Guards
			}
			r := compile(b, d)
			f := facts(bot, "w5", "1000")
			b.Run(fmt.Sprintf("%s/%d", with, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if got := r.Evaluate(f); got.Rule != "last" {
						b.Fatal(describe(got))
					}
				}
			})
		}
	}
}

// BenchmarkEvaluateGuards is the worst order: every rule is a guard that has to be tried.
func BenchmarkEvaluateGuards(b *testing.B) {
	d := ruleset(10)
	d.Guards = nil
	for i := range policy.MaxGuards {
		d.Guards = append(d.Guards, policy.Guard{ID: fmt.Sprintf("g%04d", i), Effect: policy.Deny, When: policy.Match{
			Operations: []request.Operation{request.Transfer}, AmountOver: u("1000000000000000000000")}})
	}
	r := compile(b, d)
	f := facts(bot, "w5", "1000")
	b.ReportAllocs()
	for b.Loop() {
		if got := r.Evaluate(f); got.Rule != "last" {
			b.Fatal(describe(got))
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 1000} {
		d := ruleset(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				compile(b, d)
			}
		})
	}
}

func BenchmarkMet(b *testing.B) {
	r := compile(b, sample())
	d := r.Evaluate(facts(alice, "hot", "1001"))
	votes := approve(bob, carol)
	for b.Loop() {
		if ok, _ := d.Met(r, alice, votes); !ok {
			b.Fatal("not met")
		}
	}
}
