-- Prints from inside functions that Lua's own C functions call: there, the stack has C and Lua by turns.
local words = {}
for word in ('the quick brown fox jumps over the lazy dog'):gmatch('%a+') do words[#words + 1] = word end
table.sort(words, function(a, b) print('compares', a, b) return a < b end)
print(table.concat(words, ' '))

print((('a1b22c333'):gsub('%d+', function(digits) print('found', digits) return '<' .. digits .. '>' end)))

local factorials = setmetatable({}, {
    __index = function(self, n)
        print('looks up', n)
        local value = n == 0 and 1 or n * self[n - 1]
        print('has', value)
        return value
    end,
})
print(factorials[8])

local function hanoi(n, from, to, by)
    if n == 0 then return 0 end
    local moves = hanoi(n - 1, from, by, to)
    print('moves', n, from, to)
    return moves + 1 + hanoi(n - 1, by, to, from)
end
print(hanoi(3, 'a', 'b', 'c'))

do
    local closed <close> = setmetatable({}, { __close = function() print('closed') end })
    setmetatable({}, { __gc = function() print('collected') end })
    collectgarbage()
    print(tostring(setmetatable({}, { __tostring = function() print('names itself') return 'itself' end })))
end

local pieces = { 'return', ' 6 *', ' 7' }
print(load(function() print('reads', pieces[1]) return table.remove(pieces, 1) end)())

local sum = 0
for i = 1, 20000 do
    sum = (sum * 31 + #tostring(i)) % 1000003
    if i % 5000 == 0 then print('sum', i, sum) end
end
