"""Names of the actions of NTU RGB+D 120 and PKU-MMD, in short, in the order of their numbers."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in " ".join(text.split()).split(";") if name.strip())


NTU = _names("""
drink water; eat meal; brush teeth; brush hair; drop; pick up; throw; sit down; stand up; clap;
reading; writing; tear up paper; put on jacket; take off jacket; put on a shoe; take off a shoe;
put on glasses; take off glasses; put on a hat;
take off a hat; cheer up; hand waving; kick something; reach into pocket; hop; jump up; phone
call; play with phone; type on a keyboard;
point to something; take a selfie; check time; rub two hands; nod head; shake head; wipe face;
salute; put palms together; cross hands in front;
sneeze or cough; stagger; fall down; headache; chest pain; back pain; neck pain; nausea; fan
self; punch or slap;
kick a person; push a person; pat on back; point finger at a person; hug; give object; touch a
person's pocket; shake hands; walk towards; walk apart;
put on headphone; take off headphone; shoot at basket; bounce ball; tennis bat swing; juggle
table tennis ball; hush; flick hair; thumb up; thumb down;
make OK sign; make victory sign; staple book; count money; cut nails; cut paper; snap fingers;
open bottle; sniff; squat down;
toss a coin; fold paper; ball up paper; play magic cube; apply cream on face; apply cream on
hand; put on bag; take off bag; put object into bag; take object out of bag;
open a box; move heavy objects; shake fist; throw up hat; capitulate; cross arms; arm circles;
arm swings; run on the spot; butt kicks;
cross toe touch; side kick; yawn; stretch oneself; blow nose; hit with object; wield knife;
knock over; grab stuff; shoot with gun;
step on foot; high-five; cheers and drink; carry object; take a photo; follow; whisper; exchange
things; support somebody; rock-paper-scissors;
""")

PKU = _names("""
bow; brush hair; brush teeth; check time; cheer up; clap; cross hands in front; drink water;
drop; eat meal;
fall down; give object; hand waving; shake hands; hop; hug; jump up; kick a person; kick
something; phone call;
pat on back; pick up; play with phone; point finger at a person; point to something; punch or
slap; push a person; put on a hat; put something into pocket; reading;
rub two hands; salute; sit down; stand up; take off a hat; take off glasses; take off jacket;
take something out of pocket; take a selfie; tear up paper;
throw; back pain; chest pain; headache; neck pain; type on a keyboard; fan self; put on jacket;
put on glasses; wipe face;
writing;
""")
