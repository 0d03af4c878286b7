in vec3 in_position;
in vec3 in_normal;
in vec3 in_tangent;
in vec4 in_strand;  // across (turns), along 0..1, shell 0 inner .. 1 outer, tip 0..1
in vec2 in_hang;    // weight of the chest bone, sway
uniform mat4 head_bone;
uniform mat4 chest_bone;
uniform mat4 view_projection;
uniform vec3 sway;
out vec3 world;
out vec3 normal;
out vec3 tangent;
out vec4 strand;
void main() {
    mat4 bone = head_bone * (1.0 - in_hang.x) + chest_bone * in_hang.x;
    vec4 at = bone * vec4(in_position, 1.0);
    at.xyz += sway * in_hang.y;
    world = at.xyz;
    normal = mat3(bone) * in_normal;
    tangent = mat3(bone) * in_tangent;
    strand = in_strand;
    gl_Position = view_projection * at;
}
