/* The agreed round of src/qorum/core/consensus.py for the model checker spin: N members, F of them liars.
 *
 * Each honest member is a process, each rule an inline tagged with its line of Algorithm 1 of arXiv 1807.04938. A rule
 * may fire whenever its condition holds, or never. README.md says why what is left out here loses no behaviour:
 *  - no message is stored, only how many honest members sent it: rules ask for "enough seen", never for "not seen";
 *  - the liars are no processes: all of them vote everything, and so lower each threshold by F; leading a term, they
 *    show each member any value, and with it any certificate that exists;
 *  - a term that is not led by a liar is led by whichever honest member proposes first: all schedules at once.
 */

#ifndef N
#define N 4 /* members */
#endif
#ifndef TERMS
#define TERMS 2 /* up to 4 */
#endif
#ifndef LIARS_LEAD
#define LIARS_LEAD 0 /* bit t: a liar leads term t */
#endif

#define F ((N - 1) / 3)
#define HONEST (N - F)
#if defined(QUORUM_F_PLUS_1)
#define QUORUM (F + 1)
#elif defined(QUORUM_2F_PLUS_1) /* wrong only where n > 3f + 1 */
#define QUORUM (2 * F + 1)
#else
#define QUORUM (N - F)
#endif
#define ENOUGH (QUORUM - F) /* honest votes that with the liars' are a quorum */

mtype = { V1, V0, NIL } /* 3, 2, 1 */
#define NONE 0
#define other(v) (V0 + V1 - (v))
#define NO_TERM 15

#define PROPOSE 0
#define FIRST 1
#define SECOND 2

/* Honest votes of one step in one term, counted up to ENOUGH: for V0, for V1, and for anything. */
typedef Slot { byte v0; byte v1; byte any }
/* Of an honest leader. */
typedef Proposal { byte value; byte cited }

Slot first[4];
Slot second[4];
Proposal proposal[4];
byte agreed; /* what some honest member has decided */

#define certified(v, t) ((v == V0 -> first[t].v0 : first[t].v1) == ENOUGH)
#define decidable(v, t) ((v == V0 -> second[t].v0 : second[t].v1) == ENOUGH)
#define led_by_liar(t) ((LIARS_LEAD >> (t)) & 1)

/* Timers fire at any time once their condition holds. HASTY drops the condition: safety must not rest on it. */
#ifdef HASTY
#define after(condition) true
#define unless_hasty(statement) skip
#else
#define after(condition) (condition)
#define unless_hasty(statement) statement
#endif

/* --- what must hold --- */

#define certified_since(v, t) \
	((t == 0 && certified(v, 0)) || (t <= 1 && certified(v, 1)) || (t <= 2 && certified(v, 2)) || certified(v, 3))
#define forks_from(v, t) (decidable(v, t) && certified_since(other(v), t))
#define forks(v) (forks_from(v, 0) || forks_from(v, 1) || forks_from(v, 2) || forks_from(v, 3))

#ifndef AGREEMENT_ONLY
#define AGREEMENT_ONLY 0
#endif

inline must_lock() { /* once a value can be decided, no other is certified, in that term or later */
	assert(AGREEMENT_ONLY || (!forks(V0) && !forks(V1)))
}

inline must_agree(v) {
	assert(agreed != other(v))
}

inline must_vote_once(s) { /* terms only rise, so that slots of the current one are all there is to check */
	assert(voted < s);
	voted = s
}

/* --- what must be possible: a run that gets there is reported as an error --- */

#ifndef REACH_DECISION
#define REACH_DECISION NO_TERM
#endif
#ifndef REACH_RELEASE
#define REACH_RELEASE 0
#endif

inline may_decide(t) {
	assert(t != REACH_DECISION)
}

inline may_release(v) { /* a first vote against the lock, for a value certified since */
	assert(!REACH_RELEASE || lock == NONE || lock == v)
}

/* --- what rules do --- */

inline count(n) {
	n = n + (n < ENOUGH)
}

inline send(slot, v) {
	if
	:: v == V0 -> count(slot.v0)
	:: v == V1 -> count(slot.v1)
	:: else
	fi;
	unless_hasty(count(slot.any))
}

inline vote_first(v) {
	must_vote_once(FIRST);
	step = FIRST;
	printf("member %d, term %d: first vote for %e\n", _pid, term, v);
	send(first[term], v);
	must_lock()
}

inline vote_second(v) {
	must_vote_once(SECOND);
	step = SECOND;
	printf("member %d, term %d: second vote for %e\n", _pid, term, v);
	send(second[term], v);
	must_lock()
}

inline enter(t) { /* l. 11: the lock stays */
	assert(t > term);
	term = t;
	step = PROPOSE;
	voted = 0;
	printf("member %d, term %d: entered\n", _pid, term)
}

/* --- rules --- */

inline decide(v, t) { /* l. 49: a quorum of second votes for one value, in any term */
	d_step {
		decidable(v, t) ->
		printf("member %d, term %d: decides %e, voted in term %d\n", _pid, term, v, t);
		may_decide(t);
		must_agree(v);
		agreed = v;
		term = 0; step = 0; voted = 0; lock = NONE; lock_term = 0 /* the round is over for this member */
	};
	break
}

#define seen_in(t) (first[t].any > 0 || second[t].any > 0 || proposal[t].value != NONE)

inline skip_to(t) { /* l. 55: f + 1 members are in term t or later, one of them honest */
	d_step {
		term < t && (seen_in(t) || (t < 3 && seen_in(3)) || (t < 2 && seen_in(2))) ->
		enter(t)
	}
}

#define may_propose (step == PROPOSE && !led_by_liar(term) && proposal[term].value == NONE && elected)
#define elected (term == 0 || after(second[term - 1].any == ENOUGH))

inline propose_best(v, b) { /* l. 16 and 42: best is the lock or a certificate since, as far as it was seen */
	d_step {
		may_propose && b < term && certified(v, b) && (lock == NONE || lock_term <= b) ->
		proposal[term].value = v;
		proposal[term].cited = b;
		printf("member %d, term %d: proposes %e, certified in term %d\n", _pid, term, v, b)
	}
}

inline propose_fresh(v) { /* l. 18: whoever has a lock has a best */
	d_step {
		may_propose && lock == NONE ->
		proposal[term].value = v;
		proposal[term].cited = NO_TERM;
		printf("member %d, term %d: proposes %e\n", _pid, term, v)
	}
}

#define proposed(v, b) (led_by_liar(term) || (proposal[term].value == v && proposal[term].cited == b))

#ifdef CITED_UNCHECKED
#define verified(v, b) (b == NO_TERM || b < term)
#else
#define verified(v, b) (b == NO_TERM || (b < term && certified(v, b)))
#endif

#if defined(NO_LOCK_CHECK)
#define lock_allows(v, b) true
#elif defined(STALE_CITED)
#define lock_allows(v, b) (lock == NONE || lock == v || b != NO_TERM)
#else
#define lock_allows(v, b) (lock == NONE || lock == v || (b != NO_TERM && lock_term <= b))
#endif

inline accept(v, b) { /* l. 22 and 28: v is proposed, with a certificate of term b or none */
	d_step {
		step == PROPOSE && proposed(v, b) && verified(v, b) && lock_allows(v, b) ->
		printf("member %d, term %d: accepts %e, citing term %d (15: none)\n", _pid, term, v, b);
		may_release(v);
		vote_first(v)
	}
}

inline refuse() { /* l. 26, 32 and 57: the proposal is refused or did not come in time */
	d_step {
		step == PROPOSE ->
		vote_first(NIL)
	}
}

inline lock_and_vote(v) { /* l. 36; whoever has not cast its first vote yet skips it */
	d_step {
		step != SECOND && certified(v, term) ->
		lock = v;
		lock_term = term;
		vote_second(v)
	}
}

inline give_up() { /* l. 44 and 61: a quorum voted first, and not for one value as far as was seen in time */
	d_step {
		step == FIRST && after(first[term].any == ENOUGH) ->
#ifdef LOCK_DROPPED_ON_NIL
		lock = NONE;
		lock_term = 0;
#endif
		vote_second(NIL)
	}
}

inline next_term() { /* l. 65: a time-out after a quorum of second votes of any kind */
	d_step {
		term + 1 < TERMS && after(second[term].any == ENOUGH) ->
		enter(term + 1)
	}
}

inline restart() { /* what is durable is all that a member has here, so that only a lost record is a change */
#ifdef RECORD_LOST
	d_step {
		step != PROPOSE ->
		step = PROPOSE
	}
#else
	false
#endif
}

active [HONEST] proctype Member() {
	byte term, step, lock, lock_term;
	byte voted; /* the last step of this term in which it voted; for must_vote_once alone */
end:
	do
	:: decide(V0, 0) :: decide(V0, 1) :: decide(V0, 2) :: decide(V0, 3)
	:: decide(V1, 0) :: decide(V1, 1) :: decide(V1, 2) :: decide(V1, 3)
	:: skip_to(1) :: skip_to(2) :: skip_to(3)
	:: propose_best(V0, 0) :: propose_best(V0, 1) :: propose_best(V0, 2) :: propose_fresh(V0)
	:: propose_best(V1, 0) :: propose_best(V1, 1) :: propose_best(V1, 2) :: propose_fresh(V1)
	:: accept(V0, NO_TERM) :: accept(V0, 0) :: accept(V0, 1) :: accept(V0, 2)
	:: accept(V1, NO_TERM) :: accept(V1, 0) :: accept(V1, 1) :: accept(V1, 2)
	:: refuse()
	:: lock_and_vote(V0) :: lock_and_vote(V1)
	:: give_up()
	:: next_term()
	:: restart()
	od
}
