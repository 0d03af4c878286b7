in vec4 in_drop;      // place in a unit box, and a random number
in vec2 in_corner;
uniform mat4 view_projection;
uniform vec3 box_min;
uniform vec3 box_size;
uniform float time;
uniform vec3 speed;    // dm/s
uniform vec2 size;     // half width, length along the fall
uniform vec3 side;
out vec2 place;
out vec3 world;
void main() {
    vec3 p = fract(in_drop.xyz + speed * (0.8 + 0.4 * in_drop.w) * time / box_size + vec3(0.02 * sin(time * 1.3 + in_drop.w * 40.0), 0.0, 0.0));
    world = box_min + p * box_size + side * in_corner.x * size.x + normalize(speed) * in_corner.y * size.y;
    place = in_corner;
    gl_Position = view_projection * vec4(world, 1.0);
}
