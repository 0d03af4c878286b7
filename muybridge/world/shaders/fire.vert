in vec2 in_position;   // -1..1, 0..1
uniform mat4 view_projection;
uniform vec3 base;
uniform vec3 right;
uniform vec2 extent;
out vec2 place;
out vec3 world;
void main() {
    world = base + right * in_position.x * extent.x + vec3(0.0, in_position.y * extent.y, 0.0);
    place = in_position;
    gl_Position = view_projection * vec4(world, 1.0);
}
