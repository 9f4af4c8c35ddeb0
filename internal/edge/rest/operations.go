// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// operations lists everything that the API does. Routes and description both follow from it.
func (s *Server) operations() []*operation {
	get, post := http.MethodGet, http.MethodPost
	page := []param{{"limit", "most items of a page", true}, {"cursor", "where the page begins, as the page before said", false}}
	with := func(p ...param) []param { return append(p, page...) }
	view := apiv1.RequestView{}
	return []*operation{
		{id: "getHealth", method: get, path: "/healthz", summary: "Whether serve answers and reaches the core", anonymous: true, reply: apiv1.Health{}, handle: s.health},
		{id: "getDescription", method: get, path: "/openapi.json", summary: "This description", anonymous: true, media: apiv1.JSON, handle: s.description},
		{id: "getProblem", method: get, path: "/docs/problems/{id}", summary: "What a kind of problem means and what to do, as Markdown", anonymous: true,
			media: "text/markdown; charset=utf-8", handle: s.problemPage},
		{id: "getStatus", services: everybody, method: get, path: "/v1/status", summary: "How core, log and nodes are", reply: apiv1.Status{}, handle: s.status},
		{id: "getSignedStatus", services: everybody, method: get, path: "/v1/status/signed", summary: "The core's status, signed by the domain: also after zeroize",
			reply: apiv1.SignedStatus{}, handle: s.signedStatus, query: []param{{"nonce", "32 to 64 hex digits of the caller's choice: they are signed too", false}}},
		{id: "listChains", services: everybody, method: get, path: "/v1/chains", summary: "How the chains' nodes are", reply: apiv1.ChainList{}, handle: s.chains},

		{id: "createRequest", services: ownOnly, method: post, path: "/v1/requests", summary: "Ask for something", create: true, body: apiv1.Submission{}, cbor: true,
			reply: view, status: http.StatusCreated, handle: s.submit},
		{id: "listRequests", services: ownOnly, method: get, path: "/v1/requests", summary: "Requests, oldest first", reply: apiv1.RequestList{}, handle: s.listRequests,
			query: with(param{"state", "pending, ready, signed, exported, executed, refused, rejected, cancelled, expired or void", false},
				param{"operation", "only of this operation", false}, param{"wallet", "only of this wallet", false})},
		{id: "getRequest", services: ownOnly, method: get, path: "/v1/requests/{id}", summary: "One request", reply: view, handle: s.getRequest},
		{id: "getStatement", services: ownOnly, method: get, path: "/v1/requests/{id}/statement", summary: "What an approver signs", reply: apiv1.StatementView{}, handle: s.getStatement,
			query: []param{{"person", "who signs; the caller if absent", false}, {"decision", "approve, reject or cancel; approve if absent", false}}},
		{id: "approveRequest", verb: policy.VerbApprove, method: post, path: "/v1/requests/{id}:approve", summary: "Hand in a signed approval", body: apiv1.DecisionIn{}, reply: view, handle: s.decide(request.Approve)},
		{id: "rejectRequest", verb: policy.VerbApprove, method: post, path: "/v1/requests/{id}:reject", summary: "Hand in a signed rejection", body: apiv1.DecisionIn{}, reply: view, handle: s.decide(request.Reject)},
		{id: "cancelRequest", services: ownOnly, method: post, path: "/v1/requests/{id}:cancel", summary: "Hand in the initiator's signed cancellation", body: apiv1.DecisionIn{}, reply: view, handle: s.decide(request.Cancel)},
		{id: "executeRequest", verb: policy.VerbExecute, services: ownOnly, method: post, path: "/v1/requests/{id}:execute", summary: "Carry out an approved request that is no transfer", reply: view, handle: s.execute},
		{id: "signRequest", verb: policy.VerbExecute, services: ownOnly, method: post, path: "/v1/requests/{id}:sign", summary: "Have a ready transfer, contract call or message signed, by its initiator or who approved it; serve builds the payload", reply: apiv1.Signed{}, handle: s.sign},
		{id: "getProof", services: ownOnly, method: get, path: "/v1/requests/{id}/proof", summary: "The proof file of a request", media: apiv1.Bytes, handle: s.proof},

		{id: "listWallets", services: everybody, method: get, path: "/v1/wallets", summary: "Wallets in order of birth", query: page, reply: apiv1.WalletList{}, handle: s.listWallets},
		{id: "getWallet", services: everybody, method: get, path: "/v1/wallets/{id}", summary: "One wallet", reply: apiv1.Wallet{}, handle: s.getWallet},
		{id: "getWalletProof", services: everybody, method: get, path: "/v1/wallets/{id}/proof", summary: "The proof file of the request that made a wallet: its account key, from which addresses follow", media: apiv1.Bytes, handle: s.walletProof},
		{id: "listAddresses", services: everybody, method: get, path: "/v1/wallets/{id}/addresses", summary: "Addresses of a wallet", reply: apiv1.AddressList{}, handle: s.listAddresses,
			query: with(param{"branch", "0 for receiving addresses, 1 for change", true})},
		{id: "listBalances", services: everybody, method: get, path: "/v1/wallets/{id}/balances", summary: "What a wallet holds, as nodes say", reply: apiv1.BalanceList{}, handle: s.listBalances},

		{id: "listAppGrants", method: get, path: "/v1/app-grants", summary: "Grants to applications, oldest first", query: page, reply: apiv1.AppGrantList{}, handle: s.listAppGrants},
		{id: "listOfflineDomains", services: everybody, method: get, path: "/v1/offline-domains", summary: "Offline domains, and the wallets whose keys are there", reply: apiv1.OfflineDomainList{}, handle: s.listOffline},
		{id: "createOfflineBundle", verb: policy.VerbCarry, method: post, path: "/v1/offline-bundles", summary: "Begin a sealed bundle to an offline domain", body: apiv1.OfflineBundleIn{},
			reply: apiv1.OfflineBundle{}, status: http.StatusCreated, handle: s.beginBundle},
		{id: "getOfflineBundle", verb: policy.VerbCarry, method: get, path: "/v1/offline-bundles/{id}", summary: "The next part of a bundle, from a byte on; empty at its end", media: apiv1.Bytes,
			query: []param{{"offset", "first byte; the last part given can be asked for again", true}}, handle: s.bundlePart},
		{id: "createOfflineResult", verb: policy.VerbCarry, method: post, path: "/v1/offline-results", summary: "Hand in the sealed result of an offline domain, part by part", body: apiv1.OfflineResultIn{},
			reply: apiv1.OfflineResult{}, handle: s.takeResult},

		{id: "getPolicy", method: get, path: "/v1/policy", summary: "The current rule document", reply: apiv1.PolicyView{}, handle: s.getPolicy},
		{id: "listPersons", method: get, path: "/v1/persons", summary: "Persons and services of the rule document", reply: apiv1.PersonList{}, handle: s.listPersons},
		{id: "createCertificate", services: ownOnly, method: post, path: "/v1/persons/{id}/certificates", summary: "Get a client certificate", body: apiv1.CertificateIn{},
			reply: apiv1.CertificateView{}, status: http.StatusCreated, handle: s.certify},
		{id: "listGroups", method: get, path: "/v1/groups", summary: "Groups of the rule document", reply: apiv1.GroupList{}, handle: s.listGroups},
		{id: "getAddressBook", method: get, path: "/v1/address-book", summary: "The address book: the rule document's, or the address ledger where there is one", query: page, reply: apiv1.AddressBook{}, handle: s.addressBook},
		{id: "getBlacklist", method: get, path: "/v1/blacklist", summary: "Addresses that nothing is paid to", reply: apiv1.Blacklist{}, handle: s.blacklist},
		{id: "createSession", verb: policy.VerbSession, services: everybody, method: post, path: "/v1/sessions", summary: "Open a service's session", body: apiv1.SessionIn{}, reply: apiv1.SessionView{},
			status: http.StatusCreated, handle: s.openSession},

		{id: "createLogin", verb: policy.VerbOwn, method: post, path: "/v1/logins", summary: "Make the caller's login to the pages by password and code; the call must be signed", body: apiv1.LoginIn{},
			reply: apiv1.LoginView{}, status: http.StatusCreated, handle: s.setLogin},
		{id: "removeLogin", verb: policy.VerbOwn, method: post, path: "/v1/logins/{id}:remove", summary: "End the caller's login by password; the call must be signed", reply: apiv1.LoginView{}, handle: s.removeLogin},
		{id: "submitQuotes", services: everybody, method: post, path: "/v1/quotes", summary: "Hand in what signers of the rules' price sources said; the signatures speak, whoever carries them", body: apiv1.QuotesIn{},
			reply: apiv1.StatementsTaken{}, handle: s.submitQuotes},
		{id: "submitVerdicts", services: everybody, method: post, path: "/v1/verdicts", summary: "Hand in what signers of the rules' sources of screening said; the signatures speak, whoever carries them",
			body: apiv1.VerdictsIn{}, reply: apiv1.StatementsTaken{}, handle: s.submitVerdicts},
		{id: "listVerdicts", services: everybody, method: get, path: "/v1/verdicts", summary: "What sources of screening said last, and how they are", reply: apiv1.Screening{}, handle: s.listVerdicts,
			query: []param{{"source", "only of this source", false}, {"subject", "only on this subject: a chain, a colon and an address, or the hash of a request", false}, {"limit", "most verdicts", true}}},
		{id: "listPrices", services: everybody, method: get, path: "/v1/prices", summary: "What the rules know of what assets are worth", reply: apiv1.PriceList{}, handle: s.listPrices},

		{id: "startCheck", verb: policy.VerbCheck, method: post, path: "/v1/audit/check", summary: "Start the full re-check of the log", reply: apiv1.Check{}, status: http.StatusAccepted, handle: s.check(true)},
		{id: "getCheck", verb: policy.VerbCheck, method: get, path: "/v1/audit/check", summary: "How the re-check goes", reply: apiv1.Check{}, handle: s.check(false)},
		{id: "listEntries", verb: policy.VerbLog, method: get, path: "/v1/audit/entries", summary: "The log in clear, below the pin", reply: apiv1.EntryList{}, handle: s.entries,
			query: []param{{"from", "first entry", true}, {"limit", "most entries", true}, {"wait", "seconds to wait for an entry, at most 30", true}}},
		{id: "explainRequest", services: ownOnly, method: get, path: "/v1/requests/{id}/explanation", summary: "Why the rules say what they say of a request, and what they say now", reply: apiv1.Explanation{}, handle: s.explain},
		{id: "simulateRequest", services: ownOnly, method: post, path: "/v1/simulations", summary: "What would be decided about a request if it were handed in now; nothing is recorded", body: apiv1.SimulationIn{},
			reply: apiv1.Explanation{}, handle: s.simulate},
		{id: "listLimits", method: get, path: "/v1/limits", summary: "What limits have counted, by limit and group", reply: apiv1.MeterList{}, handle: s.listLimits,
			query: with(param{"limit-id", "only of this limit", false})},
		{id: "getCheckpoint", method: get, path: "/checkpoint", summary: "The signed checkpoint of the tiles (C2SP tlog-checkpoint)", media: "text/plain; charset=utf-8", handle: s.tile},
		{id: "getTile", method: get, path: "/tile/{path...}", summary: "Tiles and entry bundles (C2SP tlog-tiles)", media: apiv1.Bytes, handle: s.tile},
	}
}
