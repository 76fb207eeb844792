#include "runtime/flame_page.h"

#include <fmt/format.h>

#include "wire/json/json.h"

namespace drey::runtime {
namespace {

struct Node {
  std::int64_t value = 0;
  std::map<std::string, Node> children;
};

wire::Json json_of(const std::string& name, const Node& node) {
  wire::Json children = wire::Json::array();
  for (const auto& [child, inner] : node.children) children.push(json_of(child, inner));
  return wire::Json::object({{"n", name}, {"v", node.value}, {"c", std::move(children)}});
}

constexpr std::string_view kPage = R"html(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>@TITLE@</title>
<style>
body{font:13px sans-serif;margin:12px}
#graph{position:relative}
#graph div{position:absolute;height:17px;line-height:17px;overflow:hidden;white-space:nowrap;
box-sizing:border-box;border-right:1px solid #fff;padding-left:3px;font-size:11px;cursor:pointer}
#graph div:hover{outline:1px solid #000}
.dim{opacity:.35}
</style></head><body>
<h3>@TITLE@</h3>
<p><input id="find" placeholder="search a frame"> <button id="reset">whole</button>
<span id="what">&nbsp;</span></p>
<div id="graph"></div>
<script>
const root=@DATA@;
const graph=document.getElementById('graph'),what=document.getElementById('what'),
find=document.getElementById('find');
function color(name){let h=0;for(const ch of name)h=(h*31+ch.charCodeAt(0))%997;
return 'hsl('+(10+h%45)+',80%,'+(62+h%14)+'%)';}
let shown=root;
function draw(){
  graph.textContent='';
  const width=graph.clientWidth;let depth=0;
  function place(node,left,level){
    const w=node.v/shown.v*width;
    if(w<0.5)return;
    depth=Math.max(depth,level);
    const box=document.createElement('div');
    box.style.left=left+'px';box.style.width=w+'px';box.style.top=level*18+'px';
    box.style.background=color(node.n);
    box.textContent=w>25?node.n:'';
    const text=node.n+': '+node.v+' samples, '+(100*node.v/root.v).toFixed(2)+' %';
    box.title=text;
    box.onmouseover=()=>{what.textContent=text;};
    box.onclick=()=>{shown=node;draw();};
    if(find.value&&!node.n.includes(find.value))box.className='dim';
    graph.appendChild(box);
    let at=left;
    for(const child of node.c){place(child,at,level+1);at+=child.v/shown.v*width;}
  }
  if(shown.v>0)place(shown,0,0);
  graph.style.height=(depth+2)*18+'px';
}
document.getElementById('reset').onclick=()=>{shown=root;draw();};
find.oninput=draw;window.onresize=draw;draw();
</script></body></html>
)html";

std::string with(std::string text, std::string_view mark, std::string_view value) {
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + value.size()))
    text.replace(at, mark.size(), value);
  return text;
}

}  // namespace

std::string collapsed(const FlameStacks& stacks) {
  std::string out;
  for (const auto& [frames, count] : stacks)
    fmt::format_to(std::back_inserter(out), "{} {}\n", fmt::join(frames, ";"), count);
  return out;
}

std::string flame_page(const std::string& title, const FlameStacks& stacks) {
  Node root;
  for (const auto& [frames, count] : stacks) {
    Node* node = &root;
    node->value += count;
    for (const std::string& frame : frames) {
      node = &node->children[frame];
      node->value += count;
    }
  }
  // A frame's name must not end the script.
  const std::string data = with(json_of("all", root).to_string(), "</", "<\\/");
  std::string safe_title;
  for (const char c : title) safe_title += c == '<' || c == '&' ? '_' : c;
  return with(with(std::string(kPage), "@TITLE@", safe_title), "@DATA@", data);
}

}  // namespace drey::runtime
