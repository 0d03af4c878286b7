"""English words of the world: several ways to say every fact, and true details of every place."""

from __future__ import annotations

PLACES: dict[str, tuple[str, ...]] = {
    "living room": (
        "in a living room",
        "at home in the living room",
        "in a cosy living room with a sofa",
        "inside a lounge",
    ),
    "kitchen": (
        "in a kitchen",
        "in a tiled kitchen",
        "in the kitchen in front of the counter",
        "standing in a home kitchen",
    ),
    "office": ("in an office", "at the office", "in an office with desks and screens", "in a workplace"),
    "library": (
        "in a library",
        "among bookshelves in a library",
        "in a room full of books",
        "in front of tall bookshelves",
    ),
    "classroom": (
        "in a classroom",
        "in front of a blackboard in a classroom",
        "at school in front of the blackboard",
        "in a schoolroom",
    ),
    "studio": (
        "in a studio",
        "in front of a plain studio backdrop",
        "before a seamless backdrop",
        "against a plain wall in a studio",
    ),
    "stage": ("on a stage", "on a theatre stage", "on stage in front of a curtain", "in a theatre, before the curtain"),
    "cafe": ("in a cafe", "in a coffee shop", "in a cafe with brick walls", "at a coffee bar"),
    "street": ("on a street", "on a city street", "in the city, beside a road", "on the pavement of a town street"),
    "park": ("in a park", "in a green park", "in a city park with trees", "on the lawn of a park"),
    "beach": ("on a beach", "at the seaside", "on a sandy beach by the sea", "by the sea"),
    "forest": ("in a forest", "in the woods", "among tall trees in a forest", "between the trunks of a wood"),
    "mountains": ("in the mountains", "in a mountain valley", "in front of high mountains", "in an alpine landscape"),
    "snowfield": ("in the snow", "in a snowy landscape", "on a snowfield with fir trees", "in a winter landscape"),
    "desert": ("in a desert", "among dunes and cacti", "in a sandy desert with cacti", "in a dry desert"),
    "meadow": (
        "in a meadow",
        "in a meadow by a wooden fence",
        "in the countryside, in a grassy field",
        "on a flowery meadow",
    ),
    "rooftop": (
        "on a rooftop",
        "on a roof above the city",
        "on a city rooftop",
        "on a roof terrace with a view of the city",
    ),
    "garden": ("in a garden", "in a garden with flowers", "in front of a hedge in a garden", "in a flower garden"),
    "lakeside": ("by a lake", "on the shore of a lake", "at a lakeside with a wooden jetty", "beside a calm lake"),
}
PLACE_DETAILS: dict[str, tuple[str, ...]] = {
    "living room": (
        "A framed picture hangs on the wall behind.",
        "There is a sofa and a standing lamp.",
        "A window with curtains is at the side.",
    ),
    "kitchen": (
        "Cupboards run along the back wall.",
        "Some fruit lies on the counter.",
        "There is a window over the counter.",
    ),
    "office": (
        "Desks with screens stand behind.",
        "Large windows fill the back wall.",
        "A potted plant stands in the corner.",
    ),
    "library": (
        "Rows of books fill the shelves.",
        "The wooden shelves reach high.",
        "A small green lamp stands on a table.",
    ),
    "classroom": (
        "Chalk lines cover the blackboard.",
        "A blackboard fills the back wall.",
        "School desks stand at the sides.",
    ),
    "studio": ("The background is plain.", "Nothing distracts from the subject.", "The backdrop is one even colour."),
    "stage": ("A heavy curtain hangs behind.", "Stage lights hang above.", "The floor is made of boards."),
    "cafe": ("Lamps hang from the ceiling.", "A menu board hangs on the brick wall.", "There is a wooden bar behind."),
    "street": (
        "Houses line the other side of the road.",
        "Cars are parked along the road.",
        "Lamp posts stand along the road.",
    ),
    "park": ("Trees stand in the background.", "A bench stands on the grass.", "A path leads into the distance."),
    "beach": ("Waves roll onto the sand.", "The sea reaches to the horizon.", "The water glitters behind."),
    "forest": ("Thick trunks stand all around.", "Bushes grow between the trees.", "The wood is dense."),
    "mountains": (
        "Rocky peaks rise in the distance.",
        "Fir trees stand before the peaks.",
        "Boulders lie in the grass.",
    ),
    "snowfield": ("Snow covers everything.", "Fir trees stand in the snow.", "White hills rise behind."),
    "desert": ("Cacti stand in the sand.", "Dunes roll away behind.", "A red mesa stands far away."),
    "meadow": ("A wooden fence runs across the field.", "Flowers dot the grass.", "Green hills lie behind."),
    "rooftop": (
        "Tall buildings surround the roof.",
        "A low brick wall borders the roof.",
        "The city spreads out behind.",
    ),
    "garden": ("A clipped hedge stands behind.", "Flowers bloom on the bushes.", "A paved path runs through the lawn."),
    "lakeside": ("A jetty leads out over the water.", "The far shore is lined with firs.", "The lake lies still."),
}
HOURS: dict[str, tuple[str, ...]] = {
    "day": ("by day", "in daylight", "during the day", "on a bright day"),
    "overcast": ("on an overcast day", "under a grey sky", "in flat grey daylight", "on a cloudy day"),
    "sunset": ("at sunset", "in the evening sun", "at golden hour", "as the sun goes down"),
    "night": ("at night", "after dark", "in the dark of night", "late at night"),
}
WEATHERS: dict[str, tuple[str, ...]] = {
    "clear": ("",),
    "rain": ("It is raining.", "Rain falls.", "Rain pours down.", "The weather is rainy."),
    "snow": ("It is snowing.", "Snowflakes drift down.", "Snow falls softly.", "The weather is snowy."),
    "fog": (
        "It is foggy.",
        "Thick fog hides the distance.",
        "A haze of fog hangs in the air.",
        "The weather is misty.",
    ),
}
FRAMINGS: dict[str, tuple[str, ...]] = {
    "close-up": ("close-up", "tight close-up", "close shot of the face", "facial close-up"),
    "medium close-up": ("medium close-up", "head-and-shoulders shot", "bust shot", "portrait shot"),
    "medium shot": ("medium shot", "chest-up shot", "mid shot", "waist-up portrait"),
    "extreme close-up": ("extreme close-up", "full-face shot", "shot filled by the face", "very near shot of the face"),
    "half body": ("half-body shot", "half-length shot", "wider half-body view", "shot down to the hips"),
}
MOVES: dict[str, tuple[str, ...]] = {
    "static": (
        "The camera is static.",
        "The camera does not move.",
        "A locked-off shot.",
        "The camera stays on a tripod.",
    ),
    "pan left": ("The camera pans left.", "A slow pan to the left.", "The camera swings to the left."),
    "pan right": ("The camera pans right.", "A slow pan to the right.", "The camera swings to the right."),
    "tilt up": ("The camera tilts up.", "A tilt upwards.", "The camera slowly looks up."),
    "tilt down": ("The camera tilts down.", "A tilt downwards.", "The camera slowly looks down."),
    "push in": ("The camera pushes in.", "A slow push-in.", "The camera moves closer.", "A dolly-in."),
    "pull out": ("The camera pulls out.", "A slow pull back.", "The camera moves away.", "A dolly-out."),
    "orbit left": (
        "The camera orbits to the left.",
        "The camera circles round to the left.",
        "An orbit shot going left.",
    ),
    "orbit right": (
        "The camera orbits to the right.",
        "The camera circles round to the right.",
        "An orbit shot going right.",
    ),
    "handheld": ("The camera is handheld.", "A slightly shaky handheld camera.", "Shot from the hand."),
    "reframe": (
        "The camera reframes without a cut to a wider view.",
        "The framing opens up to a wider, off-centre view.",
        "A continuous reframing to a wider composition.",
    ),
}
LIGHT_SIDES: dict[str, tuple[str, ...]] = {
    "left": ("lit from the left", "with light from the left", "the key light comes from the left"),
    "right": ("lit from the right", "with light from the right", "the key light comes from the right"),
    "front": ("lit from the front", "with frontal light", "the light comes from the front"),
    "behind": ("lit from behind", "backlit", "with the light behind the subject"),
}
TINTS: dict[str, tuple[str, ...]] = {
    "neutral": ("",),
    "warm": ("The light is warm.", "Warm light fills the scene.", "The tones are warm."),
    "cool": ("The light is cool.", "Cool bluish light fills the scene.", "The tones are cold."),
    "red": ("The light is red.", "Red light fills the scene.", "Everything is bathed in red."),
    "green": ("The light is green.", "Green light fills the scene.", "Everything is bathed in green."),
    "violet": ("The light is violet.", "Violet light fills the scene.", "Everything is bathed in purple light."),
}
CHANGES: dict[str, tuple[str, ...]] = {
    "steady": ("",),
    "brightens": ("the light grows brighter", "it gets brighter", "the light comes up"),
    "dims": ("the light dims", "it gets darker", "the light fades"),
    "flickers": ("the light flickers", "the light is unsteady and flickers"),
    "turns warm": ("the light turns warm", "the light shifts to orange"),
    "turns blue": ("the light turns blue", "the light shifts to blue"),
    "sweeps": ("the light moves across from left to right", "the light sweeps from one side to the other"),
}
EXPRESSIONS: dict[str, tuple[str, ...]] = {
    "happy": ("smiles", "looks happy", "beams", "wears a broad smile"),
    "sad": ("looks sad", "looks downcast", "has a sad face", "seems unhappy"),
    "angry": ("looks angry", "frowns angrily", "glares", "has an angry face"),
    "surprised": ("looks surprised", "stares in surprise", "raises both eyebrows in surprise", "seems astonished"),
    "neutral": ("has a neutral expression", "looks calm"),
}
GESTURES: dict[str, tuple[str, ...]] = {
    "nod": ("nods", "nods the head", "gives a nod"),
    "shake head": ("shakes {poss} head", "shakes the head", "signals no with {poss} head"),
    "wave": ("waves", "waves a hand", "raises a hand and waves"),
    "turn left": ("turns to the left", "turns {poss} head to the left", "looks over to the left"),
    "turn right": ("turns to the right", "turns {poss} head to the right", "looks over to the right"),
    "look up": ("looks up", "raises {poss} eyes", "lifts {poss} head and looks up"),
    "look down": ("looks down", "lowers {poss} eyes", "lowers {poss} head"),
    "tilt head": ("tilts {poss} head", "tilts the head to one side", "cocks {poss} head"),
    "shrug": ("shrugs", "shrugs {poss} shoulders", "gives a shrug"),
    "lean in": ("leans in", "leans towards the camera", "leans forward"),
}
HAIR: dict[str, tuple[str, ...]] = {
    "buzz cut": ("a {c} buzz cut", "very short {c} hair", "cropped {c} hair"),
    "short hair": ("short {c} hair", "a short {c} haircut", "{c} hair cut short"),
    "swept hair": ("{c} hair swept up", "swept-back {c} hair", "{c} hair brushed up from the forehead"),
    "side-parted hair": ("side-parted {c} hair", "{c} hair with a side parting", "neatly parted {c} hair"),
    "bob": ("a {c} bob", "chin-length {c} hair", "{c} hair in a bob"),
    "bangs": ("{c} hair with bangs", "{c} hair with a fringe", "a {c} fringe"),
    "long hair": ("long {c} hair", "long straight {c} hair", "{c} hair down to the shoulders"),
    "long wavy hair": ("long wavy {c} hair", "wavy {c} hair", "{c} hair in long waves"),
    "curly hair": ("curly {c} hair", "{c} curls", "a head of {c} curls"),
    "afro": ("a {c} afro", "a big {c} afro", "{c} hair in an afro"),
    "ponytail": ("a {c} ponytail", "{c} hair tied in a ponytail", "{c} hair in a ponytail"),
    "bun": ("{c} hair in a bun", "a {c} bun", "{c} hair tied up in a bun"),
}
BEARDS: dict[str, tuple[str, ...]] = {
    "stubble": ("stubble", "a stubbly chin", "a few days of stubble"),
    "moustache": ("a moustache", "a thick moustache"),
    "goatee": ("a goatee", "a small chin beard"),
    "full beard": ("a full beard", "a beard", "a bushy beard"),
}
THINGS: dict[str, tuple[str, ...]] = {
    "horse": ("a {c} horse gallops", "a galloping {c} horse runs", "a {c} horse races at full gallop"),
    "ball": ("a {c} ball bounces", "a {c} and white ball bounces up and down", "a bouncing {c} ball hops on the spot"),
    "waves": ("waves break on the shore", "waves roll in and break", "the surf washes up the sand"),
    "car": ("a {c} car passes", "a {c} car drives by", "a {c} car drives past the camera"),
    "bell": ("a {c} bell swings and rings", "a {c} bell rings in its frame", "a big {c} bell is ringing"),
    "metronome": (
        "a {c} metronome ticks",
        "the arm of a {c} metronome swings to and fro",
        "a {c} metronome beats time",
    ),
    "fire": ("a campfire burns", "a fire crackles in a ring of stones", "flames leap from a campfire"),
    "drum": (
        "a stick beats a {c} drum",
        "a {c} drum is played with one stick",
        "a {c} drum is struck in a steady beat",
    ),
    "bird": (
        "a {c} bird chirps on a branch",
        "a little {c} bird sings on a branch",
        "a {c} songbird sits on a branch and tweets",
    ),
    "door": ("a {c} door opens and slams shut", "a {c} door swings open and bangs shut", "a {c} door slams"),
}
SOUNDS: dict[str, tuple[str, ...]] = {
    "horse": ("Hooves drum on the ground.", "You hear each hoofbeat.", "The sound of hoofbeats."),
    "ball": ("Each bounce is heard.", "The ball thuds on the ground.", "The sound of bouncing."),
    "waves": ("The surf rushes.", "The sound of the sea.", "You hear the waves break."),
    "car": ("The engine roars by.", "The sound of a passing car.", "You hear the car come and go."),
    "bell": ("The bell tolls.", "Clear bell strokes ring out.", "The sound of a bell."),
    "metronome": ("It ticks evenly.", "A steady tick is heard.", "The sound of ticking."),
    "fire": ("The fire crackles.", "Wood pops in the flames.", "The sound of a crackling fire."),
    "drum": ("Drum strokes are heard.", "A steady drumbeat.", "The sound of a drum."),
    "bird": ("It chirps brightly.", "Birdsong is heard.", "The sound of chirping."),
    "door": ("The slam is loud.", "A door slams.", "The sound of a slamming door."),
}
CLOSERS: tuple[str, ...] = (
    "The whole clip is one continuous take.", "There is no cut.", "The image is sharp and clear.",
    "The clip has a natural feel.",
    "Everything happens in a single shot.", "The mood of the scene is quiet.", "The picture is cleanly composed.",
)  # fmt: skip
