"""Example texts of the web page, written for it."""

TEXTS = [
    "A small miracle of a film: tender, funny, and over far too soon.",
    "Two hours of my life that I would like to have back.",
    "The second half drags a little, but the leads are charming.",
    "It was filmed in Lisbon in the autumn of last year.",
    "Not as bad as they say, and not nearly as good as it thinks it is.",
]
PAIRS = [
    ["How do I learn to play the piano as an adult?", "What is the best way for a grown-up to start piano?"],
    ["How do I learn to play the piano?", "How do I sell my old piano?"],
    ["A dog is running along the beach.", "A dog runs on the sand by the sea."],
    ["A man is slicing bread in the kitchen.", "A woman is repairing a bicycle."],
    ["The council approved the new bridge on Monday.", "On Monday the council voted for the bridge."],
]
OPINION_PAIRS = [  # pairs whose first text also has a sentiment
    ["A delight from the first scene to the last.", "I enjoyed every minute of it."],
    ["The battery died after a week and nobody answered my letters.", "The battery still holds for two days."],
    ["The soup was cold and the waiter was rude.", "We were served cold soup by an unfriendly waiter."],
    ["The train leaves at nine from platform four.", "At nine a train departs from platform four."],
    ["A clever plot, spoiled by a lazy ending.", "Where can I see this film with subtitles?"],
]
