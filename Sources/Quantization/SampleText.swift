// A text for models to be compared on when nobody names one: a voyage and a shipwreck, in words that are free to all.

/// The Acts of the Apostles, chapters 27 and 28, in the King James Version (1611).
public let sampleText = """
  And when it was determined that we should sail into Italy, they delivered Paul and certain other prisoners unto one \
  named Julius, a centurion of Augustus' band. And entering into a ship of Adramyttium, we launched, meaning to sail \
  by the coasts of Asia; one Aristarchus, a Macedonian of Thessalonica, being with us. And the next day we touched at \
  Sidon. And Julius courteously entreated Paul, and gave him liberty to go unto his friends to refresh himself. And \
  when we had launched from thence, we sailed under Cyprus, because the winds were contrary. And when we had sailed \
  over the sea of Cilicia and Pamphylia, we came to Myra, a city of Lycia. And there the centurion found a ship of \
  Alexandria sailing into Italy; and he put us therein. And when we had sailed slowly many days, and scarce were come \
  over against Cnidus, the wind not suffering us, we sailed under Crete, over against Salmone; And, hardly passing \
  it, came unto a place which is called The fair havens; nigh whereunto was the city of Lasea. Now when much time was \
  spent, and when sailing was now dangerous, because the fast was now already past, Paul admonished them, And said \
  unto them, Sirs, I perceive that this voyage will be with hurt and much damage, not only of the lading and ship, \
  but also of our lives. Nevertheless the centurion believed the master and the owner of the ship, more than those \
  things which were spoken by Paul. And because the haven was not commodious to winter in, the more part advised to \
  depart thence also, if by any means they might attain to Phenice, and there to winter; which is an haven of Crete, \
  and lieth toward the south west and north west. And when the south wind blew softly, supposing that they had \
  obtained their purpose, loosing thence, they sailed close by Crete. But not long after there arose against it a \
  tempestuous wind, called Euroclydon. And when the ship was caught, and could not bear up into the wind, we let her \
  drive. And running under a certain island which is called Clauda, we had much work to come by the boat: Which when \
  they had taken up, they used helps, undergirding the ship; and, fearing lest they should fall into the quicksands, \
  strake sail, and so were driven. And we being exceedingly tossed with a tempest, the next day they lightened the \
  ship; And the third day we cast out with our own hands the tackling of the ship. And when neither sun nor stars in \
  many days appeared, and no small tempest lay on us, all hope that we should be saved was then taken away. But after \
  long abstinence Paul stood forth in the midst of them, and said, Sirs, ye should have hearkened unto me, and not \
  have loosed from Crete, and to have gained this harm and loss. And now I exhort you to be of good cheer: for there \
  shall be no loss of any man's life among you, but of the ship. For there stood by me this night the angel of God, \
  whose I am, and whom I serve, Saying, Fear not, Paul; thou must be brought before Caesar: and, lo, God hath given \
  thee all them that sail with thee. Wherefore, sirs, be of good cheer: for I believe God, that it shall be even as \
  it was told me. Howbeit we must be cast upon a certain island. But when the fourteenth night was come, as we were \
  driven up and down in Adria, about midnight the shipmen deemed that they drew near to some country; And sounded, \
  and found it twenty fathoms: and when they had gone a little further, they sounded again, and found it fifteen \
  fathoms. Then fearing lest we should have fallen upon rocks, they cast four anchors out of the stern, and wished \
  for the day. And as the shipmen were about to flee out of the ship, when they had let down the boat into the sea, \
  under colour as though they would have cast anchors out of the foreship, Paul said to the centurion and to the \
  soldiers, Except these abide in the ship, ye cannot be saved. Then the soldiers cut off the ropes of the boat, and \
  let her fall off. And while the day was coming on, Paul besought them all to take meat, saying, This day is the \
  fourteenth day that ye have tarried and continued fasting, having taken nothing. Wherefore I pray you to take some \
  meat: for this is for your health: for there shall not an hair fall from the head of any of you. And when he had \
  thus spoken, he took bread, and gave thanks to God in presence of them all: and when he had broken it, he began to \
  eat. Then were they all of good cheer, and they also took some meat. And we were in all in the ship two hundred \
  threescore and sixteen souls. And when they had eaten enough, they lightened the ship, and cast out the wheat into \
  the sea. And when it was day, they knew not the land: but they discovered a certain creek with a shore, into the \
  which they were minded, if it were possible, to thrust in the ship. And when they had taken up the anchors, they \
  committed themselves unto the sea, and loosed the rudder bands, and hoised up the mainsail to the wind, and made \
  toward shore. And falling into a place where two seas met, they ran the ship aground; and the forepart stuck fast, \
  and remained unmoveable, but the hinder part was broken with the violence of the waves. And the soldiers' counsel \
  was to kill the prisoners, lest any of them should swim out, and escape. But the centurion, willing to save Paul, \
  kept them from their purpose; and commanded that they which could swim should cast themselves first into the sea, \
  and get to land: And the rest, some on boards, and some on broken pieces of the ship. And so it came to pass, that \
  they escaped all safe to land.

  And when they were escaped, then they knew that the island was called Melita. And the barbarous people shewed us no \
  little kindness: for they kindled a fire, and received us every one, because of the present rain, and because of \
  the cold. And when Paul had gathered a bundle of sticks, and laid them on the fire, there came a viper out of the \
  heat, and fastened on his hand. And when the barbarians saw the venomous beast hang on his hand, they said among \
  themselves, No doubt this man is a murderer, whom, though he hath escaped the sea, yet vengeance suffereth not to \
  live. And he shook off the beast into the fire, and felt no harm. Howbeit they looked when he should have swollen, \
  or fallen down dead suddenly: but after they had looked a great while, and saw no harm come to him, they changed \
  their minds, and said that he was a god. In the same quarters were possessions of the chief man of the island, \
  whose name was Publius; who received us, and lodged us three days courteously. And it came to pass, that the father \
  of Publius lay sick of a fever and of a bloody flux: to whom Paul entered in, and prayed, and laid his hands on \
  him, and healed him. So when this was done, others also, which had diseases in the island, came, and were healed: \
  Who also honoured us with many honours; and when we departed, they laded us with such things as were necessary. And \
  after three months we departed in a ship of Alexandria, which had wintered in the isle, whose sign was Castor and \
  Pollux. And landing at Syracuse, we tarried there three days. And from thence we fetched a compass, and came to \
  Rhegium: and after one day the south wind blew, and we came the next day to Puteoli: Where we found brethren, and \
  were desired to tarry with them seven days: and so we went toward Rome. And from thence, when the brethren heard of \
  us, they came to meet us as far as Appii forum, and The three taverns: whom when Paul saw, he thanked God, and took \
  courage. And when we came to Rome, the centurion delivered the prisoners to the captain of the guard: but Paul was \
  suffered to dwell by himself with a soldier that kept him. And it came to pass, that after three days Paul called \
  the chief of the Jews together: and when they were come together, he said unto them, Men and brethren, though I \
  have committed nothing against the people, or customs of our fathers, yet was I delivered prisoner from Jerusalem \
  into the hands of the Romans. Who, when they had examined me, would have let me go, because there was no cause of \
  death in me. But when the Jews spake against it, I was constrained to appeal unto Caesar; not that I had ought to \
  accuse my nation of. For this cause therefore have I called for you, to see you, and to speak with you: because \
  that for the hope of Israel I am bound with this chain. And they said unto him, We neither received letters out of \
  Judaea concerning thee, neither any of the brethren that came shewed or spake any harm of thee. But we desire to \
  hear of thee what thou thinkest: for as concerning this sect, we know that every where it is spoken against. And \
  when they had appointed him a day, there came many to him into his lodging; to whom he expounded and testified the \
  kingdom of God, persuading them concerning Jesus, both out of the law of Moses, and out of the prophets, from \
  morning till evening. And some believed the things which were spoken, and some believed not. And when they agreed \
  not among themselves, they departed, after that Paul had spoken one word, Well spake the Holy Ghost by Esaias the \
  prophet unto our fathers, Saying, Go unto this people, and say, Hearing ye shall hear, and shall not understand; \
  and seeing ye shall see, and not perceive: For the heart of this people is waxed gross, and their ears are dull of \
  hearing, and their eyes have they closed; lest they should see with their eyes, and hear with their ears, and \
  understand with their heart, and should be converted, and I should heal them. Be it known therefore unto you, that \
  the salvation of God is sent unto the Gentiles, and that they will hear it. And when he had said these words, the \
  Jews departed, and had great reasoning among themselves. And Paul dwelt two whole years in his own hired house, and \
  received all that came in unto him, Preaching the kingdom of God, and teaching those things which concern the Lord \
  Jesus Christ, with all confidence, no man forbidding him.
  """
