/* skill_talk.c - small talk, so that a newcomer's first words get a sensible answer. Taught whole: none of it is held
 * out, since none of it is tested. */
#include "task/skill.h"

struct small_talk {
    const char *answer, *prompts[18]; /* {1}, {2}, {3}: names of a person, a town and a planet of the world */
};
static const struct small_talk small_talks[] = {
    {"Hello! What can I do for you?",
     {"Hello", "Hello.", "Hello!", "Hi", "Hi!", "hello", "hi", "Hey", "Hey there", "Good morning", "Good evening",
      "Hello there!", "Greetings.", "Good day.", "Hi, how are you?", "Howdy", "Hello, assistant."}},
    {"I am well, thank you.",
     {"How are you?", "How are you doing?", "How do you feel?", "Are you well?", "How is it going?", "How are things?",
      "All well with you?", "How have you been?", "What is up?", "How are you today?", "how are you"}},
    {"I am talc, a small language model that learnt to talk on this computer.",
     {"Who are you?", "What are you?", "What is your name?", "Tell me about yourself.", "Are you a robot?",
      "Are you human?", "Who is speaking?", "What are you called?", "Introduce yourself.", "Are you a person?",
      "What kind of thing are you?", "who are you", "Do you have a name?", "What is talc?"}},
    {"I answer questions about a small world, make lists and outlines, write short functions and remember your name.",
     {"What can you do?", "How can you help me?", "What are you good at?", "What do you know?", "Help", "Help!",
      "What can I ask you?", "What should I ask?", "Can you help me?", "I need help.", "How do you work?",
      "What are your skills?", "Show me what you can do.", "what can you do", "What can we do together?"}},
    {"I know {1}, {2}, {3} and many more. Ask me about one of them.",
     {"Whom do you know?", "What things do you know?", "Which names do you know?", "Give me an example.",
      "Tell me about your world.", "What is in your world?", "Which persons do you know?", "Which towns do you know?",
      "Which planets do you know?", "Name something you know.", "What shall we talk about?", "Tell me something.",
      "What do you want to talk about?"}},
    {"You are welcome.",
     {"Thank you.", "Thanks.", "Thanks a lot!", "Many thanks.", "That was helpful.", "Thank you very much.", "thanks",
      "Well done.", "Good answer.", "Great!", "Good job.", "Thank you for your help.", "Nice.", "Very good."}},
    {"Goodbye!",
     {"Goodbye.", "Bye", "Bye!", "See you.", "See you later.", "I have to go.", "Good night.", "Farewell.",
      "Until next time.", "That is all.", "bye", "I must leave now.", "See you tomorrow."}},
    {"I learnt from short texts that were written for me.",
     {"How did you learn?", "Who taught you?", "Who made you?", "What did you learn from?", "Where do you come from?",
      "How were you made?", "Who trained you?", "What were you trained on?", "How old are you?", "Where do you live?"}},
    {"I am sorry. I make mistakes.",
     {"That is wrong.", "No.", "You are wrong.", "That is not right.", "Wrong answer.", "That was a mistake.",
      "I do not think so.", "Are you sure?", "That cannot be right.", "No, that is false."}},
    {"All right.",
     {"Okay.", "Yes.", "OK", "Fine.", "I see.", "Good.", "All right.", "Sure.", "Understood.", "Yes, please.",
      "Let us begin.", "Let us talk."}},
    {"I do not know that.",
     {"What is the weather today?", "What time is it?", "What day is it?", "Who will win the game?",
      "What is the meaning of life?", "Tell me a joke.", "What is the news?", "How do I get rich?",
      "What happens tomorrow?", "Why is the sky blue?", "What is two plus two?", "How tall is a tree?",
      "Who is the president?", "Can you sing?", "What should I eat today?", "How far is the moon?"}},
};
enum { N_SMALL_TALKS = sizeof small_talks / sizeof small_talks[0] };

static void add_talk(const struct world *world, int subject, enum split split, struct rng *rng, struct dialog *dialog,
                     json_t *check) {
    (void)subject;
    (void)split;
    (void)check;
    const struct small_talk *talk = &small_talks[rng_below(rng, N_SMALL_TALKS)];
    buffer_append_text(dialog_next(dialog), phrase_any(phrases_until_null(talk->prompts, 18), rng));
    struct slot slots[] = {{"1", world->entities[KIND_PERSON].name},
                           {"2", world->entities[KIND_TOWN].name},
                           {"3", world->entities[KIND_PLANET].name},
                           {NULL, NULL}};
    text_fill(dialog_next(dialog), talk->answer, slots);
}

const struct skill skill_talk = {"talk", add_talk};
